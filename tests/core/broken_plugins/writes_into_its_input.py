"""Changes the samples it was given."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl

from .parts import broken_session


class Wrong:
    def __init__(self, session: Any) -> None:
        self._session = session

    def feed(self, samples: Any) -> Any:
        samples *= 2
        return [samples]

    def flush(self) -> Any:
        return self._session.flush()

    def close(self) -> None:
        self._session.close()


Broken = broken_session("processor", Wrong)


@hookimpl
def open_speech_register_processors() -> list[type[Any]]:
    return [Broken]
