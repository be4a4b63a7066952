"""Takes long to say whether it knows an id."""

from __future__ import annotations

import time
from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_echo.provider import EchoTranscriber

from .parts import plain


def slow(self: Any, id: str) -> None:
    time.sleep(0.2)


Broken = plain(EchoTranscriber, resolve=slow)


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
