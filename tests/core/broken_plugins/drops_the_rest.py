"""Forgets what is less than a hop."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl

from .parts import Whole, broken_session


class Wrong(Whole):
    def flush(self) -> Any:
        return ()


Broken = broken_session("detector", Wrong)


@hookimpl
def open_speech_register_detectors() -> list[type[Any]]:
    return [Broken]
