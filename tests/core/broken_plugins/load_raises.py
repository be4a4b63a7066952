"""Raises while it loads."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_echo.provider import EchoTranscriber

from .parts import plain


def load(self: Any, spec: Any) -> Any:
    raise OSError("/home/somebody/model.bin is not a model")


Broken = plain(EchoTranscriber, load=load)


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
