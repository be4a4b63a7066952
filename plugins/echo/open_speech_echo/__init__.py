"""Echo: a provider of every kind without a model, deterministic, able to fail on demand."""

from __future__ import annotations

from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Detector, Diarizer, Processor, Synthesizer, Transcriber

from .provider import EchoDetector, EchoDiarizer, EchoProcessor, EchoSynthesizer, EchoTranscriber


@hookimpl
def open_speech_register_transcribers() -> list[type[Transcriber[Any]]]:
    return [EchoTranscriber]


@hookimpl
def open_speech_register_synthesizers() -> list[type[Synthesizer[Any]]]:
    return [EchoSynthesizer]


@hookimpl
def open_speech_register_detectors() -> list[type[Detector[Any]]]:
    return [EchoDetector]


@hookimpl
def open_speech_register_diarizers() -> list[type[Diarizer[Any]]]:
    return [EchoDiarizer]


@hookimpl
def open_speech_register_processors() -> list[type[Processor[Any]]]:
    return [EchoProcessor]
