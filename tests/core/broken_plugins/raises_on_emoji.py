"""Cannot take a text it has no sounds for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from open_speech_core.hookspecs import hookimpl

from .parts import broken_call


def change(items: Iterable[Any], request: Any, context: Any) -> Iterator[Any]:
    if not request.text.isascii():
        raise IndexError("phoneme")
    yield from items


Broken = broken_call("synthesize", change)


@hookimpl
def open_speech_register_synthesizers() -> list[type[Any]]:
    return [Broken]
