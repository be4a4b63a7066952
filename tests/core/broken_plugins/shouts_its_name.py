"""Has a name that cannot prefix an id."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_core.types import ProviderInfo
from open_speech_echo.provider import EchoTranscriber

from .parts import plain

Broken = plain(EchoTranscriber, info=ProviderInfo(name="My Engine", title="x", licence="MIT"))


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
