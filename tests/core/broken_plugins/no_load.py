"""Cannot load."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Transcriber

from .parts import INFO


class Broken(Transcriber[Any]):
    info = INFO

    def models(self) -> tuple[Any, ...]:
        return ()


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
