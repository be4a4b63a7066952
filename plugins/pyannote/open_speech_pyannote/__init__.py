"""pyannote: who spoke when, with pyannote.audio and its gated weights, or a pipeline of the owner's own."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Diarizer

from .provider import PyannoteDiarizer


@hookimpl
def open_speech_register_diarizers() -> list[type[Diarizer[Any]]]:
    return [PyannoteDiarizer]
