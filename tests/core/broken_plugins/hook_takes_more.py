"""Wants an argument the hook does not give."""

from __future__ import annotations

from open_speech_core.hookspecs import hookimpl


@hookimpl
def open_speech_register_transcribers(settings: object) -> list[type]:
    return []
