"""Resemblyzer: who speaks when, from weights that come with packages."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Diarizer

from .provider import ResemblyzerDiarizer


@hookimpl
def open_speech_register_diarizers() -> list[type[Diarizer[Any]]]:
    return [ResemblyzerDiarizer]
