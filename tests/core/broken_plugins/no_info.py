"""Does not say who it is."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Transcriber


class Broken(Transcriber[Any]):
    def models(self) -> tuple[Any, ...]:
        return ()

    def load(self, spec: Any) -> Any:
        return None


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
