"""Has a model without a voice."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_echo.provider import EchoSynthesizer

from .parts import plain

Broken = plain(EchoSynthesizer, voices=lambda self, model: ())


@hookimpl
def open_speech_register_synthesizers() -> list[type[Any]]:
    return [Broken]
