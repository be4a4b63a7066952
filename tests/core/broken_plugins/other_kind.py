"""Registers a detector as a transcriber."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_echo.provider import EchoDetector

from .parts import plain

Broken = plain(EchoDetector)


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
