"""Lists other models each time."""

from __future__ import annotations

import itertools
from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_core.types import Model
from open_speech_echo.provider import EchoTranscriber

from .parts import plain

NUMBERS = itertools.count()
Broken = plain(
    EchoTranscriber,
    models=lambda self: [Model(id=f"m{next(NUMBERS)}", kind="transcriber", rate=16_000)],
)


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
