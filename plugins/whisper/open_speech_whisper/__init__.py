"""Whisper: speech recognition and translation into English with faster-whisper."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Transcriber

from .provider import WhisperTranscriber


@hookimpl
def open_speech_register_transcribers() -> list[type[Transcriber[Any]]]:
    return [WhisperTranscriber]
