"""Gives a path where a ModelSource belongs."""

from __future__ import annotations

from open_speech_core.hookspecs import hookimpl


@hookimpl
def open_speech_model_sources() -> list[object]:
    return ["/models/tiny"]
