"""Lets callers wait a minute for steps of milliseconds."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from open_speech_core.hookspecs import hookimpl
from open_speech_echo.provider import EchoTranscriber

from .parts import plain

Broken = plain(EchoTranscriber, capabilities=replace(EchoTranscriber.capabilities, cancel_s=60.0))


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
