"""The voice encoder: Resemblyzer's network (GE2E, Wan et al. 2018) with its own weights, on ONNX Runtime.

``convert.py`` made the graph: mel filters, three LSTM layers, a projection, unit length.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from open_speech_core.providers import Context
from open_speech_core.runtimes import onnx
from open_speech_core.types import Float32

from .provider import RATE

STEP_S = 0.01
STEP = round(STEP_S * RATE)
WINDOW = round(0.025 * RATE)
LEVEL_DB = -30.0
"""Loudness that quiet recordings are raised to before they are heard; Resemblyzer's."""
MOST_GAIN = 100.0

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]


class VoiceEncoder:
    """From spectra, one each 10 ms, to a voice: a unit vector of 256 numbers, none negative. Any thread."""

    def __init__(self, weights: bytes, threads: int) -> None:
        self._session = onnx.open_small(weights, threads)

    def voices(self, spectra: np.ndarray[Any, np.dtype[np.float32]], context: Context) -> Matrix:
        """Give the voices, ``(n, 256)``, of power spectra, ``(n, frames, 201)``. Raises ``Cancelled``."""
        return np.asarray(onnx.run(self._session, {"power": spectra}, context)[0], np.float32)


def power_spectra(samples: Float32) -> Matrix:
    """Give power spectra, ``(frames, 201)``: Hann windows of 25 ms, one each 10 ms, as librosa makes them."""
    padded = np.pad(samples, WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP]
    # The window is a period long, as for a transform that goes round; numpy's own has its first sample twice.
    hann = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    return np.square(np.abs(np.fft.rfft(frames * hann, axis=1))).astype(np.float32)


def gain(speech: Float32) -> np.float32:
    """Give the factor that raises quiet speech to ``LEVEL_DB``; loud speech stays."""
    rms = float(np.sqrt(np.mean(np.square(speech, dtype=np.float64)))) if len(speech) else 0.0
    return np.float32(min(MOST_GAIN, max(1.0, 10 ** (LEVEL_DB / 20) / rms)) if rms > 0 else 1.0)
