"""Qwen's provider with its ids, voices and choices; what speaks is a tone whose pitch says which model did."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Context, SynthesizerEngine
from open_speech_core.types import Artifacts, Audio, LoadSpec, Model, SynthesizeRequest
from open_speech_qwen.family import RATE
from open_speech_qwen.provider import QwenSynthesizer

PITCHES = {
    "qwen3-tts/1.7B-CustomVoice": 300,
    "qwen3-tts/1.7B-VoiceDesign": 500,
    "qwen3-tts/1.7B-Base": 700,
    "qwen3-tts/0.6B-CustomVoice": 900,
    "qwen3-tts/0.6B-Base": 1100,
}
ABSENT = os.environ.get("FAMILY_ABSENT", "")
"""The model whose weights are not here."""
INSTRUCTED_HZ = 50
"""Added when instructions arrived."""


class Tones(SynthesizerEngine):
    def __init__(self, model: Model) -> None:
        self._model = model

    def synthesize(self, request: SynthesizeRequest, context: Context) -> Iterator[Audio]:
        pitch = PITCHES[self._model.id] + (INSTRUCTED_HZ if request.instructions else 0) + (request.seed or 0)
        assert (request.reference is not None) == self._model.id.endswith("-Base")
        assert request.reference is None or request.reference.rate == RATE
        level = 0.25 if request.voice else 0.5
        samples = level * np.sin(2 * np.pi * pitch / RATE * np.arange(RATE))
        yield Audio(samples=samples.astype(np.float32), rate=RATE)


class Family(QwenSynthesizer):
    def artifacts(self, model: Model) -> Artifacts:
        return Artifacts(complete=model.id != ABSENT)

    def load(self, spec: LoadSpec) -> SynthesizerEngine:
        return Tones(spec.model)


@hookimpl
def open_speech_register_synthesizers() -> list[type[Any]]:
    return [Family]
