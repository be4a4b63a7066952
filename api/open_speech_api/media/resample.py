"""Change of rate over a stream, without losing its tail."""

# pyright: reportMissingTypeStubs=false
from __future__ import annotations

import numpy as np
import soxr  # noqa: TID253 - only media workers import this module

from open_speech_core.types import Float32

QUALITY = "HQ"
"""soxr's 20 bit quality: 1.3 ms for 11 s from 44.1 to 16 kHz; MQ saves 0.1 ms of it."""
EMPTY = np.zeros(0, np.float32)


class Resampler:
    """One stream from ``source`` Hz to ``target`` Hz; equal rates pass through untouched.

    All pieces together give ``round(n * target / source)`` frames.
    """

    def __init__(self, source: int, target: int) -> None:
        self.source = source
        self._stream = None if source == target else soxr.ResampleStream(source, target, 1, "float32", QUALITY)

    def feed(self, samples: Float32) -> Float32:
        """Take samples at ``source``, give those at ``target`` that are ready."""
        return samples if self._stream is None else self._stream.resample_chunk(samples)

    def flush(self) -> Float32:
        """Give the tail; nothing may be fed after it."""
        return EMPTY if self._stream is None else self._stream.resample_chunk(EMPTY, last=True)


class RateChanger:
    """Brings pieces of changing rates to one, as in chained Ogg files or speech of two engines."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._current: Resampler | None = None

    def feed(self, samples: Float32, rate: int) -> Float32:
        """Take samples at ``rate``; where it differs from the last one, the tail of before comes first."""
        tail = EMPTY
        if self._current is None or self._current.source != rate:
            tail = self.flush()
            self._current = Resampler(rate, self._target)
        made = self._current.feed(samples)
        return np.concatenate((tail, made)) if len(tail) else made

    def flush(self) -> Float32:
        """Give the tail of what was fed."""
        current, self._current = self._current, None
        return EMPTY if current is None else current.flush()
