"""Effects on speech, each a processor of its own: pitch, room, equalizer, robot, filters, fades and trimming."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Processor

from .provider import EFFECTS


@hookimpl
def open_speech_register_processors() -> list[type[Processor[Any]]]:
    return list(EFFECTS)
