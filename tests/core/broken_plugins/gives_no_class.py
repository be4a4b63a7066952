"""Registers an instance of something."""

from __future__ import annotations

from open_speech_core.hookspecs import hookimpl


@hookimpl
def open_speech_register_transcribers() -> list[object]:
    return ["whisper"]
