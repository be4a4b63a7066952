"""Takes long to let go."""

from __future__ import annotations

import time
from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_echo.provider import EchoTranscriber

from .parts import plain


def load(self: Any, spec: Any) -> Any:
    engine = EchoTranscriber.load(self, spec)
    engine.close = lambda: time.sleep(2.5)  # type: ignore[method-assign]
    return engine


Broken = plain(EchoTranscriber, load=load)


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
