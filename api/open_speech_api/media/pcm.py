"""Between float32 in [-1, 1] and 16 bit PCM."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from open_speech_core.types import Float32

Int16: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int16]]

SCALE = 32768.0
"""One step of 16 bit is 1 / 32768, so that -1.0 is the lowest value and 1.0 is clipped to 32767."""


def to_int16(samples: Float32) -> Int16:
    """Round to the nearest step; what is beyond full scale is clipped, never wrapped."""
    scaled = np.clip(samples, -1.0, 1.0) * np.float32(SCALE)
    np.rint(scaled, out=scaled)
    np.minimum(scaled, SCALE - 1, out=scaled)
    return scaled.astype("<i2")


def from_int16(pcm: Int16) -> Float32:
    """Give float32 that ``to_int16`` turns back into exactly ``pcm``."""
    return pcm.astype(np.float32) / np.float32(SCALE)
