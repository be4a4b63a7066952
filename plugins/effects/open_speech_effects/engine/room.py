"""A room around the speaker."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

import numpy as np
import pyroomacoustics
from scipy.signal import oaconvolve

from open_speech_core.types import Float32, SessionConfig

from .effect import BlockSession, soft

if TYPE_CHECKING:
    from open_speech_effects.provider import ReverbOptions, Room

ROOMS: dict[Room, tuple[tuple[float, float, float], float, float]] = {
    "small": ((3.5, 3.0, 2.5), 0.25, 0.25),
    "medium": ((7.0, 5.0, 3.0), 0.5, 0.40),
    "large": ((14.0, 10.0, 6.0), 0.9, 0.55),
}
"""Metres, seconds until the sound is 60 dB quieter, and the usual mix."""
HEIGHT_M = 1.5
BLOCK_S = 0.1
FAINT = 1e-4


class ReverbSession(BlockSession):
    """Convolves with a room's impulse response; what rings on is carried into the next block."""

    def __init__(self, config: SessionConfig) -> None:
        super().__init__(round(BLOCK_S * config.rate))
        options = cast("ReverbOptions", config.options)
        wet = ROOMS[options.room][2] if options.mix is None else options.mix
        self._response = wet * impulse_response(options.room, config.rate)
        self._response[0] += 1.0 - wet
        self._ringing = np.zeros(len(self._response) - 1, np.float32)

    def block(self, samples: Float32) -> Float32:
        made = self._with_room(samples)
        self._ringing = made[len(samples) :]
        return soft(made[: len(samples)])

    def last(self, samples: Float32) -> Float32:
        made = self._with_room(samples) if len(samples) else self._ringing
        self._ringing = np.zeros_like(self._ringing)
        return soft(made)

    def _with_room(self, samples: Float32) -> Float32:
        made = oaconvolve(samples, self._response).astype(np.float32)
        made[: len(self._ringing)] += self._ringing
        return made


@lru_cache(maxsize=16)
def _computed(room: Room, rate: int) -> Float32:
    size, rt60_s, _ = ROOMS[room]
    absorption, order = pyroomacoustics.inverse_sabine(rt60_s, size)
    shoebox = pyroomacoustics.ShoeBox(size, fs=rate, materials=pyroomacoustics.Material(absorption), max_order=order)
    shoebox.add_source([size[0] * 0.3, size[1] * 0.4, HEIGHT_M])
    shoebox.add_microphone([size[0] * 0.6, size[1] * 0.55, HEIGHT_M])
    shoebox.compute_rir()
    response = np.asarray(shoebox.rir[0][0], np.float32)
    # It begins with the direct sound, which the way from mouth to microphone delays.
    response = response[int(np.argmax(np.abs(response))) :]
    response /= np.sqrt(np.sum(response**2))
    heard = np.flatnonzero(np.abs(response) > FAINT * np.abs(response).max())
    return response[: heard[-1] + 1]


def impulse_response(room: Room, rate: int) -> Float32:
    """Give a room's response from the direct sound on, shape ``(n,)``, of energy 1."""
    return _computed(room, rate).copy()
