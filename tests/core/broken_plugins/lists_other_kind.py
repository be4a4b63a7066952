"""Lists a model of another kind."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_core.types import Model
from open_speech_echo.provider import EchoTranscriber

from .parts import plain

MODEL = Model(id="a", kind="detector", rate=16_000)
Broken = plain(EchoTranscriber, models=lambda self: [MODEL])


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
