"""A limiter that looks ahead, and between the samples."""

from __future__ import annotations

from typing import cast

import numpy as np
from scipy.ndimage import minimum_filter1d, uniform_filter1d
from scipy.signal import resample_poly

from open_speech_core.types import Float32

CEILING_DB = -1.1
"""True peak; a tenth of a decibel below what is promised, for what four samples for one do not show."""
OVERSAMPLING = 4
LOOK_S = 0.005


class Limiter:
    """Lowers the gain around each true peak that would pass the ceiling; gives what is certain, late by 15 ms."""

    def __init__(self, rate: int, ceiling_db: float = CEILING_DB) -> None:
        self._ceiling = 10 ** (ceiling_db / 20)
        self._look = max(1, round(LOOK_S * rate))
        self._context: Float32 = np.zeros(0, np.float32)
        """What was given already, as far as it bears on what follows, then what waits."""
        self._given = 0
        """How much of the context was given."""

    def feed(self, samples: Float32) -> Float32:
        """Take any number of samples; give those whose gain nothing later can change."""
        return self._take(samples, waits=3 * self._look)

    def flush(self) -> Float32:
        return self._take(np.zeros(0, np.float32), waits=0)

    def _take(self, samples: Float32, waits: int) -> Float32:
        held = np.concatenate([self._context, samples])
        end = max(self._given, len(held) - waits)
        ready = held[self._given : end]
        if len(ready):
            ready = (ready * self._gains(held)[self._given : end]).astype(np.float32)
        keep = max(0, end - 3 * self._look)
        self._context, self._given = held[keep:], end - keep
        return ready

    def _gains(self, samples: Float32) -> Float32:
        peaks = np.abs(resample_poly(samples, OVERSAMPLING, 1).reshape(-1, OVERSAMPLING)).max(axis=1)
        needed = np.minimum(1.0, self._ceiling / np.maximum(np.maximum(peaks, np.abs(samples)), self._ceiling))
        if needed.min() == 1.0:
            return cast("Float32", needed)
        width = 2 * self._look + 1
        return cast("Float32", uniform_filter1d(minimum_filter1d(needed, width, mode="nearest"), width, mode="nearest"))
