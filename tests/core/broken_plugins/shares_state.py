"""Mixes what several threads are told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from open_speech_core.hookspecs import hookimpl
from open_speech_core.types import Segment

from .parts import broken_call

CALLS: set[int] = set()


def change(items: Iterable[Any], request: Any, context: Any) -> Iterator[Any]:
    CALLS.add(threading.get_ident())
    time.sleep(0.05)
    others = len(CALLS) - 1
    for item in items:
        yield replace(item, text=item.text * (others + 1)) if isinstance(item, Segment) else item
    CALLS.discard(threading.get_ident())


Broken = broken_call("transcribe", change)


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
