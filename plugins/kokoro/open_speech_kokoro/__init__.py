"""Kokoro: 54 voices of nine languages, and blends of them."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Synthesizer

from .provider import KokoroSynthesizer


@hookimpl
def open_speech_register_synthesizers() -> list[type[Synthesizer[Any]]]:
    return [KokoroSynthesizer]
