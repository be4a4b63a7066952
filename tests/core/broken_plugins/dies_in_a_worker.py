"""Loads anywhere but in a worker."""

from __future__ import annotations

import sys
from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_echo.provider import EchoTranscriber

from .parts import plain


def load(self: Any, spec: Any) -> Any:
    if "worker" in sys.argv[0]:
        sys.exit("no terminal")
    return EchoTranscriber.load(self, spec)


Broken = plain(EchoTranscriber, load=load)


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
