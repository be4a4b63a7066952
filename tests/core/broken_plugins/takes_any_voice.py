"""Accepts voices it does not have."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_echo.provider import EchoSynthesizer

from .parts import plain

Broken = plain(EchoSynthesizer, check_voice=lambda self, model, voice: None)


@hookimpl
def open_speech_register_synthesizers() -> list[type[Any]]:
    return [Broken]
