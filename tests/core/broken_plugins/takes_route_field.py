"""Has a request option with the name of a route's field."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from open_speech_core.hookspecs import hookimpl
from open_speech_echo.provider import EchoTranscriber

from .parts import plain


class Wrong(Struct, frozen=True, kw_only=True):
    temperature: float = 0.0


Broken = plain(EchoTranscriber, RequestOptions=Wrong)


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
