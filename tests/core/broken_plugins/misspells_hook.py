"""Implements a hook that is not there."""

from __future__ import annotations

from open_speech_core.hookspecs import hookimpl


@hookimpl
def open_speech_register_transcribors() -> list[type]:
    return []
