"""The engine that speaks. Only workers import this module, so libraries may come at its top."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from open_speech_core.providers import Context, SynthesizerEngine
from open_speech_core.types import Audio, Float32, SynthesizeRequest, Timing

from .code import key
from .synthesizer import PITCHES, RATE, MorseFields, MorseOptions

LEVEL = 0.5
SOFT_S = 0.005
"""Length of the edges of a tone; without them it clicks."""


class MorseSpeaker(SynthesizerEngine):
    max_concurrency = 4  # It keeps no state, so calls may run at once.

    def __init__(self, options: MorseOptions) -> None:
        self._unit_s = options.unit_ms / 1000

    def synthesize(self, request: SynthesizeRequest, context: Context) -> Iterator[Audio | Timing]:
        fields: MorseFields = request.options
        pitch_hz = fields.pitch_hz or PITCHES[request.voice]
        unit = round(RATE * self._unit_s / request.speed)
        start = 0
        for word in request.text.split():
            context.check()
            keyed = key(word)
            if not keyed:
                continue
            samples = _tone(keyed, unit, pitch_hz)
            yield Audio(samples=samples, rate=RATE)
            yield Timing(word=word, start=start / RATE, end=(start + len(keyed.rstrip("0")) * unit) / RATE)
            start += len(samples)


def _tone(keyed: str, unit: int, pitch_hz: float) -> Float32:
    down = np.repeat(np.frombuffer(keyed.encode(), np.uint8) == ord("1"), unit)
    edge = np.hanning(round(RATE * SOFT_S))
    envelope = np.convolve(down, edge / edge.sum(), mode="same")
    wave = np.sin(2 * np.pi * pitch_hz / RATE * np.arange(len(down)))
    samples: Float32 = (LEVEL * envelope * wave).astype(np.float32)
    return samples
