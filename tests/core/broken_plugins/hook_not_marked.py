"""Forgets ``@hookimpl``."""

from __future__ import annotations


def open_speech_register_transcribers() -> list[type]:
    return []
