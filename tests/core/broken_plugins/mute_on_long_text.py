"""Gives silence for what is too long for it, instead of refusing it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from open_speech_core.hookspecs import hookimpl
from open_speech_core.types import Audio

from .parts import broken_call


def change(items: Iterable[Any], request: Any, context: Any) -> Iterator[Any]:
    yield from items if len(request.text) < 500 else [Audio(samples=np.zeros(2400, np.float32), rate=24_000)]


Broken = broken_call("synthesize", change)


@hookimpl
def open_speech_register_synthesizers() -> list[type[Any]]:
    return [Broken]
