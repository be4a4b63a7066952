"""Filters, equalizer, compressor, ring modulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, lfilter, sosfilt, tf2sos

from open_speech_core.providers import ProcessorSession
from open_speech_core.types import Float32, SessionConfig

from .effect import soft

if TYPE_CHECKING:
    from open_speech_effects.provider import HighpassOptions, LowpassOptions

Sections = npt.NDArray[np.float64]

RUMBLE_HZ = 80.0
PRESENCE_HZ, PRESENCE_DB, PRESENCE_Q = 3000.0, 3.0, 0.8
THRESHOLD_DB, RATIO = -18.0, 2.0
ATTACK_S, RELEASE_S = 0.01, 0.15
ROBOT_HZ = 100.0
HIGHEST = 0.45
"""Highest corner of a filter, as a share of the rate."""


class FilterSession(ProcessorSession):
    """Second-order sections whose state goes on from piece to piece."""

    def __init__(self, sections: Sections) -> None:
        self._sections = sections
        self._state = np.zeros((len(sections), 2))

    def feed(self, samples: Float32) -> tuple[Float32, ...]:
        return (soft(self.filtered(samples)),)

    def flush(self) -> tuple[Float32, ...]:
        return ()

    def filtered(self, samples: Float32) -> Float32:
        """Give as many samples as came."""
        if not len(samples):
            return samples
        made, self._state = sosfilt(self._sections, samples, zi=self._state)
        return cast("Float32", made.astype(np.float32))


class HighpassSession(FilterSession):
    def __init__(self, config: SessionConfig) -> None:
        super().__init__(_butter("highpass", cast("HighpassOptions", config.options).hz, config.rate))


class LowpassSession(FilterSession):
    def __init__(self, config: SessionConfig) -> None:
        super().__init__(_butter("lowpass", cast("LowpassOptions", config.options).hz, config.rate))


class PodcastEqSession(FilterSession):
    """No rumble, some presence, then a compressor that evens out the volume."""

    def __init__(self, config: SessionConfig) -> None:
        rate = config.rate
        super().__init__(np.vstack([_butter("highpass", RUMBLE_HZ, rate), _peak(rate)]))
        self._attack = np.exp(-1 / (ATTACK_S * rate))
        self._release = np.exp(-1 / (RELEASE_S * rate))
        self._fast = np.zeros(1)
        self._slow = np.zeros(1)

    def feed(self, samples: Float32) -> tuple[Float32, ...]:
        shaped = self.filtered(samples)
        return (soft(shaped * self._gain(shaped)),) if len(shaped) else ()

    def _gain(self, samples: Float32) -> Float32:
        """Follow the volume, quickly up and slowly down, and lower what is above the threshold."""
        power = samples.astype(np.float64) ** 2
        fast, self._fast = lfilter([1 - self._attack], [1, -self._attack], power, zi=self._fast)
        slow, self._slow = lfilter([1 - self._release], [1, -self._release], power, zi=self._slow)
        level_db = 10 * np.log10(np.maximum(fast, slow) + 1e-12)
        over_db = np.maximum(level_db - THRESHOLD_DB, 0.0)
        return cast("Float32", (10 ** (over_db * (1 / RATIO - 1) / 20)).astype(np.float32))


class RobotSession(ProcessorSession):
    """Multiplies with a tone: each frequency becomes two, above and below it."""

    def __init__(self, config: SessionConfig) -> None:
        self._rate = config.rate
        self._at = 0

    def feed(self, samples: Float32) -> tuple[Float32, ...]:
        places = np.arange(self._at, self._at + len(samples))
        self._at += len(samples)
        carrier = np.sin(2 * np.pi * ROBOT_HZ * places / self._rate)
        return ((samples * carrier).astype(np.float32),)

    def flush(self) -> tuple[Float32, ...]:
        return ()


def _butter(kind: str, hz: float, rate: int) -> Sections:
    made: Any = butter(2, min(hz, HIGHEST * rate), kind, fs=rate, output="sos")
    return cast("Sections", made)


def _peak(rate: int) -> Sections:
    """Give the bell of R. Bristow-Johnson's Audio EQ Cookbook."""
    gain = 10 ** (PRESENCE_DB / 40)
    angle = 2 * np.pi * min(PRESENCE_HZ, HIGHEST * rate) / rate
    width = np.sin(angle) / (2 * PRESENCE_Q)
    above = np.array([1 + width * gain, -2 * np.cos(angle), 1 - width * gain])
    below = np.array([1 + width / gain, -2 * np.cos(angle), 1 - width / gain])
    return cast("Sections", tf2sos(above / below[0], below / below[0]))
