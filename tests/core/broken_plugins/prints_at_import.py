"""Prints while it is imported."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_echo.provider import EchoTranscriber

from .parts import plain

print("loading the future of speech")
Broken = plain(EchoTranscriber)


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
