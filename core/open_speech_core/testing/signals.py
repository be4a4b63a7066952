"""Samples to try engines with, the same in every run."""

from __future__ import annotations

import numpy as np

from open_speech_core.types import Float32, Samples


def silence(rate: int, seconds: float) -> Float32:
    return np.zeros(round(rate * seconds), np.float32)


def noise(rate: int, seconds: float) -> Float32:
    """Give white noise at full scale."""
    return np.random.default_rng(0).uniform(-1, 1, round(rate * seconds)).astype(np.float32)


def babble(rate: int, seconds: float) -> Float32:
    """Give a buzz of 120 Hz in syllables, four a second: as close to speech as arithmetic gets."""
    times = np.arange(round(rate * seconds)) / rate
    buzz = sum(np.sin(2 * np.pi * 120 * harmonic * times) / harmonic for harmonic in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 4 * times), 0, 1)
    return (0.2 * buzz * syllables).astype(np.float32)


def samples(array: Float32, rate: int) -> Samples:
    """Give samples as they travel."""
    return Samples(data=array.astype("<f4").tobytes(), rate=rate)
