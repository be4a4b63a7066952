"""Loudness: by ITU-R BS.1770 with a true-peak limiter, and the level of speech for recognisers."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Processor

from .provider import LevelProcessor, NormalizeProcessor, PeakProcessor


@hookimpl
def open_speech_register_processors() -> list[type[Processor[Any]]]:
    return [NormalizeProcessor, LevelProcessor, PeakProcessor]
