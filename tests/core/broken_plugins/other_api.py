"""Is written for another major of the contract."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_echo.provider import EchoTranscriber

from .parts import plain

Broken = plain(EchoTranscriber, api=(2, 0))


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
