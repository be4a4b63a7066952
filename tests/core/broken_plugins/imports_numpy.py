"""Imports a model library before it is asked to load."""

from __future__ import annotations

from typing import Any

import numpy  # noqa: F401

from open_speech_core.hookspecs import hookimpl
from open_speech_echo.provider import EchoTranscriber

from .parts import plain

Broken = plain(EchoTranscriber)


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
