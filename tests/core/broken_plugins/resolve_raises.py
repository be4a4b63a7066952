"""Raises on an id it does not know."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_echo.provider import EchoTranscriber

from .parts import plain


def strict(self: Any, id: str) -> None:
    raise KeyError(id)


Broken = plain(EchoTranscriber, resolve=strict)


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
