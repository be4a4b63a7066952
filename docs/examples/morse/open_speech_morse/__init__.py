"""Morse code for Open Speech."""

from __future__ import annotations

from open_speech_core.hookspecs import hookimpl

from .detector import MorseDetector
from .synthesizer import MorseSynthesizer
from .transcriber import MorseTranscriber


@hookimpl
def open_speech_register_synthesizers() -> list[type[MorseSynthesizer]]:
    return [MorseSynthesizer]


@hookimpl
def open_speech_register_transcribers() -> list[type[MorseTranscriber]]:
    return [MorseTranscriber]


@hookimpl
def open_speech_register_detectors() -> list[type[MorseDetector]]:
    return [MorseDetector]
