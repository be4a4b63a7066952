"""What the effects share: an engine that only opens sessions, fixed blocks, a soft ceiling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator

import numpy as np

from open_speech_core.providers import ProcessorEngine, ProcessorSession
from open_speech_core.types import Float32, SessionConfig

KNEE = 0.9
"""Louder samples are bent, so that none passes 1."""
EMPTY = np.zeros(0, np.float32)


class EffectEngine(ProcessorEngine):
    """Holds nothing; any number of threads may use it."""

    device = "cpu"
    compute_type = "float32"
    max_concurrency = 64

    def __init__(self, make: Callable[[SessionConfig], ProcessorSession]) -> None:
        self._make = make

    def open(self, config: SessionConfig) -> ProcessorSession:
        return self._make(config)


class BlockSession(ProcessorSession):
    """Works on blocks of one length, so that it does not matter in which pieces a stream comes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rest: Float32 = EMPTY

    def feed(self, samples: Float32) -> Iterator[Float32]:
        held = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        whole = len(held) - len(held) % self._size
        self._rest = held[whole:].copy()
        for start in range(0, whole, self._size):
            yield self.block(held[start : start + self._size])

    def flush(self) -> Iterator[Float32]:
        rest, self._rest = self._rest, EMPTY
        yield self.last(rest)

    @abstractmethod
    def block(self, samples: Float32) -> Float32:
        """Take one block of the fixed length."""

    @abstractmethod
    def last(self, samples: Float32) -> Float32:
        """Take what is left, shorter than a block and perhaps nothing, and give the tail too."""


def soft(samples: Float32) -> Float32:
    """Bend what is above the knee so that nothing passes 1."""
    over = np.abs(samples) > KNEE
    if over.any():
        samples = samples.copy()
        loud = samples[over]
        room = 1.0 - KNEE
        samples[over] = np.sign(loud) * (KNEE + room * np.tanh((np.abs(loud) - KNEE) / room))
    return samples.astype(np.float32, copy=False)
