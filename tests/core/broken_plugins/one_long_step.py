"""Works longer than promised where no cancel is seen."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from open_speech_core.hookspecs import hookimpl

from .parts import broken_call


def change(items: Iterable[Any], request: Any, context: Any) -> Iterator[Any]:
    found = list(items)
    if len(found) > 4:
        time.sleep(0.5)
    yield from found


Broken = broken_call("transcribe", change)
Broken.capabilities = replace(Broken.capabilities, cancel_s=0.1)


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
