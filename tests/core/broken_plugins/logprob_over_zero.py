"""Gives a probability where its logarithm belongs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from open_speech_core.hookspecs import hookimpl
from open_speech_core.types import Segment

from .parts import broken_call


def change(items: Iterable[Any], request: Any, context: Any) -> Iterator[Any]:
    for item in items:
        yield replace(item, avg_logprob=0.9) if isinstance(item, Segment) else item


Broken = broken_call("transcribe", change)


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
