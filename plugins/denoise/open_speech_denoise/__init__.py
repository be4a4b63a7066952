"""Noise reduction by spectral gating, with noisereduce."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Processor

from .provider import DenoiseProcessor


@hookimpl
def open_speech_register_processors() -> list[type[Processor[Any]]]:
    return [DenoiseProcessor]
