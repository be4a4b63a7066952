"""Silero: voice activity detection on ONNX Runtime, without torch."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Detector

from .provider import SileroDetector


@hookimpl
def open_speech_register_detectors() -> list[type[Detector[Any]]]:
    return [SileroDetector]
