"""Changes the samples it was given."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl

from .parts import Whole, broken_session


class Wrong(Whole):
    def feed(self, samples: Any) -> Any:
        samples *= 2
        return [samples]


Broken = broken_session("processor", Wrong)


@hookimpl
def open_speech_register_processors() -> list[type[Any]]:
    return [Broken]
