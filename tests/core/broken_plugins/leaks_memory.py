"""Keeps something of every call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from open_speech_core.hookspecs import hookimpl

from .parts import broken_call

KEPT: list[bytearray] = []


def change(items: Iterable[Any], request: Any, context: Any) -> Iterator[Any]:
    KEPT.append(bytearray(b"x" * 100_000))
    yield from items


Broken = broken_call("transcribe", change)


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
