"""Leaves all its work for the end, where it takes longer than was promised."""

from __future__ import annotations

import time
from typing import Any

from open_speech_core.hookspecs import hookimpl

from .parts import Whole, broken_session


class Wrong(Whole):
    def __init__(self, session: Any) -> None:
        super().__init__(session)
        self._fed = 0

    def feed(self, samples: Any) -> Any:
        self._fed += len(samples)
        return self._session.feed(samples)

    def flush(self) -> Any:
        time.sleep(self._fed / 500_000)
        return self._session.flush()


Broken = broken_session("processor", Wrong)


@hookimpl
def open_speech_register_processors() -> list[type[Any]]:
    return [Broken]
