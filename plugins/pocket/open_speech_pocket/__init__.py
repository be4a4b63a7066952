"""Pocket TTS: speech frame by frame on a CPU, in built-in voices or a cloned one."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Synthesizer

from .provider import PocketSynthesizer


@hookimpl
def open_speech_register_synthesizers() -> list[type[Synthesizer[Any]]]:
    return [PocketSynthesizer]
