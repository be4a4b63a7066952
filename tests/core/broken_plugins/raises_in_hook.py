"""Raises in its hook."""

from __future__ import annotations

from open_speech_core.hookspecs import hookimpl


@hookimpl
def open_speech_register_transcribers() -> list[type]:
    raise RuntimeError("no licence key")
