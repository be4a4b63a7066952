"""Goes on when its generator is closed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from open_speech_core.hookspecs import hookimpl

from .parts import broken_call


def change(items: Iterable[Any], request: Any, context: Any) -> Iterator[Any]:
    for item in items:
        time.sleep(0.02)
        try:
            yield item
        except GeneratorExit:
            yield item


Broken = broken_call("transcribe", change)


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
