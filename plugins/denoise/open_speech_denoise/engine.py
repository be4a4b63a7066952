"""Spectral gating of stretches that overlap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import noisereduce
import numpy as np

from open_speech_core.providers import ProcessorEngine, ProcessorSession
from open_speech_core.types import Float32, SessionConfig

if TYPE_CHECKING:
    from .provider import DenoiseRequestOptions

EMPTY = np.zeros(0, np.float32)
STRETCH_S = 8.0
CONTEXT_S = 1.0
"""Heard on both sides of a stretch, so that its edges sound like its middle."""
SHORTEST_S = 0.25
"""Less says nothing about the noise; it passes as it is."""


class DenoiseEngine(ProcessorEngine):
    """Holds nothing; any number of threads may use it."""

    device = "cpu"
    compute_type = "float32"
    max_concurrency = 64

    def open(self, config: SessionConfig) -> ProcessorSession:
        return DenoiseSession(config)

    def warm_up(self) -> None:
        """Compile and import what the library leaves to its first call."""
        _gated(np.random.default_rng(0).normal(0, 0.01, 16_000).astype(np.float32), 16_000, 1.0, stationary=False)


class DenoiseSession(ProcessorSession):
    """Waits for a stretch and what follows it."""

    def __init__(self, config: SessionConfig) -> None:
        self._options = cast("DenoiseRequestOptions", config.options)
        self._rate = config.rate
        self._stretch = round(STRETCH_S * config.rate)
        self._context = round(CONTEXT_S * config.rate)
        self._before: Float32 = EMPTY
        """The end of what was given, noise and all."""
        self._held: Float32 = EMPTY

    def feed(self, samples: Float32) -> Iterator[Float32]:
        self._held = np.concatenate([self._held, samples])
        while len(self._held) >= self._stretch + self._context:
            yield self._take(self._stretch)

    def flush(self) -> Iterator[Float32]:
        yield self._take(len(self._held))

    def _take(self, length: int) -> Float32:
        after = self._held[length : length + self._context]
        noisy = np.concatenate([self._before, self._held[:length], after])
        start = len(self._before)
        self._before = noisy[: start + length][-self._context :]
        self._held = self._held[length:]
        if len(noisy) < SHORTEST_S * self._rate or not noisy.any():
            return noisy[start : start + length]
        options = self._options
        made = _gated(noisy, self._rate, options.strength, stationary=options.stationary)
        return np.clip(made[start : start + length], -1.0, 1.0)


def _gated(samples: Float32, rate: int, strength: float, *, stationary: bool) -> Float32:
    made = noisereduce.reduce_noise(
        y=samples, sr=rate, stationary=stationary, prop_decrease=strength, n_jobs=1, use_tqdm=False
    )
    return np.nan_to_num(np.asarray(made, np.float32))
