"""Qwen3-TTS: named speakers, voices by description, and cloned voices."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Synthesizer

from .provider import QwenSynthesizer


@hookimpl
def open_speech_register_synthesizers() -> list[type[Synthesizer[Any]]]:
    return [QwenSynthesizer]
