"""Gives the last segment first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from open_speech_core.hookspecs import hookimpl

from .parts import broken_call


def change(items: Iterable[Any], request: Any, context: Any) -> Iterator[Any]:
    info, *segments = items
    yield info
    yield from reversed(segments)


Broken = broken_call("transcribe", change)


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
