"""The three at work. All measure what was heard so far and move their gain slowly; all end in the limiter."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import numpy as np
import pyloudnorm

from open_speech_core.providers import ProcessorEngine, ProcessorSession
from open_speech_core.types import Float32, SessionConfig

from .limiter import CEILING_DB, Limiter

if TYPE_CHECKING:
    from .provider import LevelOptions, NormalizeOptions, PeakOptions

EMPTY = np.zeros(0, np.float32)
RISE_DB = 1.0
"""Most the gain rises in a second, once it is set."""
FALL_DB = 12.0
"""Most it falls: what was set by soft noise must not hold the limiter down for half a minute of speech."""
MOST_DB = 40.0
"""More would be noise."""
MEASURED_S = 30
"""What is measured: the last of what was heard."""
BLOCK_S = 0.4
"""The shortest that BS.1770 measures."""
FRAME_S = 0.02
SILENCE_DB = -60.0
"""Where nothing is louder, the level is left alone."""
SPOKEN_SHARE = 1e-3
"""Frames of speech have at least so much of the loudest one's power: 30 dB below it is a pause."""
FULL_SCALE_DB = -1.0


class GainEngine(ProcessorEngine):
    """Holds nothing; any number of threads may use it."""

    device = "cpu"
    compute_type = "float32"
    max_concurrency = 64


class NormalizeEngine(GainEngine):
    def open(self, config: SessionConfig) -> ProcessorSession:
        return NormalizeSession(config)


class LevelEngine(GainEngine):
    def open(self, config: SessionConfig) -> ProcessorSession:
        return LevelSession(config)


class PeakEngine(GainEngine):
    def open(self, config: SessionConfig) -> ProcessorSession:
        return PeakSession(config)


class GainSession(ProcessorSession):
    """Holds the first seconds of sound to set its gain by; then corrects it with every second.

    Silence before them passes as it is: it says nothing about what follows.
    """

    def __init__(self, rate: int, hold_s: float, ceiling_db: float = CEILING_DB) -> None:
        self._second = rate
        self._hold = round(hold_s * rate)
        self._held: Float32 = EMPTY
        self._last: deque[Float32] = deque(maxlen=MEASURED_S)
        self._gain_db: float | None = None
        self._known = 0
        """Samples still to come that the gain was set by."""
        self._limiter = Limiter(rate, ceiling_db)

    def feed(self, samples: Float32) -> Iterator[Float32]:
        self._held = np.concatenate([self._held, samples])
        while len(self._held) >= (self._hold if self._gain_db is None else self._second):
            second, self._held = self._held[: self._second], self._held[self._second :]
            yield self._limiter.feed(self._louder(second))

    def flush(self) -> Iterator[Float32]:
        held, self._held = self._held, EMPTY
        if self._gain_db is None:
            # All is here: the gain is exact.
            self._gain_db = self._wanted_db(held) or 0.0
            self._known = len(held)
        for start in range(0, len(held), self._second):
            yield self._limiter.feed(self._louder(held[start : start + self._second]))
        yield self._limiter.flush()

    @abstractmethod
    def _wanted_db(self, samples: Float32) -> float | None:
        """Say what would bring these samples to the target, dB; None where all is silence."""

    def _louder(self, second: Float32) -> Float32:
        before = self._gain_db
        if before is None:
            if self._wanted_db(second) is None:
                return second
            # No more than this, so that it does not matter in which pieces the stream came.
            before = self._wanted_db(np.concatenate([second, self._held])[: self._hold]) or 0.0
            self._known = self._hold - len(second)
        after = before
        self._last.append(second)
        if self._known > 0:
            self._known -= len(second)
        else:
            wanted = self._wanted_db(np.concatenate(self._last))
            if wanted is not None:
                after += float(np.clip(wanted - before, -FALL_DB, RISE_DB))
        self._gain_db = after
        gains_db = np.linspace(before, after, len(second), dtype=np.float32)
        return cast("Float32", (second * 10 ** (gains_db / 20)).astype(np.float32))


class NormalizeSession(GainSession):
    """By BS.1770."""

    HOLD_S = 10.0

    def __init__(self, config: SessionConfig) -> None:
        super().__init__(config.rate, self.HOLD_S)
        self._target = cast("NormalizeOptions", config.options).target_lufs
        self._meter = pyloudnorm.Meter(config.rate)

    def _wanted_db(self, samples: Float32) -> float | None:
        if not len(samples):
            return None
        shortest = round(BLOCK_S * self._second) + 1
        if len(samples) < shortest:
            samples = np.resize(samples, shortest)
        with warnings.catch_warnings():
            # Of a logarithm of nothing: silence.
            warnings.simplefilter("ignore", RuntimeWarning)
            loudness = float(self._meter.integrated_loudness(samples.astype(np.float64)))
        return min(self._target - loudness, MOST_DB) if np.isfinite(loudness) else None


class LevelSession(GainSession):
    """By the RMS of the frames that are not silent, as far as the loudest sample allows."""

    HOLD_S = 2.0

    def __init__(self, config: SessionConfig) -> None:
        super().__init__(config.rate, self.HOLD_S)
        self._target = cast("LevelOptions", config.options).target_dbfs
        self._frame = max(1, round(FRAME_S * config.rate))

    def _wanted_db(self, samples: Float32) -> float | None:
        frames = len(samples) // self._frame
        if not frames:
            return None
        power = np.mean(samples[: frames * self._frame].reshape(frames, -1).astype(np.float64) ** 2, axis=1)
        loudest = float(power.max())
        if 10 * np.log10(loudest + 1e-12) < SILENCE_DB:
            return None
        level_db = 10 * np.log10(np.mean(power[power > loudest * SPOKEN_SHARE]))
        headroom_db = FULL_SCALE_DB - 20 * np.log10(np.max(np.abs(samples)) + 1e-9)
        return float(min(self._target - level_db, max(0.0, headroom_db), MOST_DB))


class PeakSession(GainSession):
    """By the loudest sample."""

    HOLD_S = 1.0

    def __init__(self, config: SessionConfig) -> None:
        self._target_db = 20 * np.log10(cast("PeakOptions", config.options).target)
        super().__init__(config.rate, self.HOLD_S, self._target_db)

    def _wanted_db(self, samples: Float32) -> float | None:
        peak = float(np.abs(samples).max(initial=0.0))
        level_db = 20 * np.log10(peak + 1e-9)
        return float(min(self._target_db - level_db, MOST_DB)) if level_db > SILENCE_DB else None
