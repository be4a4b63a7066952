"""Has an option of a type that options may not have."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from open_speech_core.hookspecs import hookimpl
from open_speech_echo.provider import EchoTranscriber

from .parts import plain


class Wrong(Struct, frozen=True, kw_only=True):
    weights: dict[str, float] | None = None


Broken = plain(EchoTranscriber, RequestOptions=Wrong)


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
