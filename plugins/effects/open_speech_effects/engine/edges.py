"""The start and the end of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from open_speech_core.providers import ProcessorSession
from open_speech_core.types import Float32, SessionConfig

from .effect import EMPTY

if TYPE_CHECKING:
    from open_speech_effects.provider import FadeOptions, TrimOptions


class FadeSession(ProcessorSession):
    """Fades in at once; as much as is faded out is held back until the end."""

    def __init__(self, config: SessionConfig) -> None:
        options = cast("FadeOptions", config.options)
        self._in = round(options.fade_in_s * config.rate)
        self._out = round(options.fade_out_s * config.rate)
        self._at = 0
        self._held: Float32 = EMPTY

    def feed(self, samples: Float32) -> tuple[Float32, ...]:
        places = np.arange(self._at, self._at + len(samples), dtype=np.float32)
        self._at += len(samples)
        if self._in and len(places) and places[0] < self._in:
            samples = samples * np.minimum(places / self._in, 1.0)
        held = np.concatenate([self._held, samples.astype(np.float32, copy=False)])
        ready = max(0, len(held) - self._out)
        self._held = held[ready:]
        return (held[:ready],)

    def flush(self) -> tuple[Float32, ...]:
        held, self._held = self._held, EMPTY
        if not self._out:
            return (held,)
        left = np.arange(len(held) - 1, -1, -1, dtype=np.float32)
        return ((held * np.minimum(left / self._out, 1.0)).astype(np.float32),)


class TrimSession(ProcessorSession):
    """Drops silence until something is heard; from then on holds back silence, which is dropped if it is the last."""

    def __init__(self, config: SessionConfig) -> None:
        options = cast("TrimOptions", config.options)
        self._threshold = 10 ** (options.threshold_db / 20)
        self._keep = round(options.keep_ms / 1000 * config.rate)
        self._heard = False
        self._held: Float32 = EMPTY

    def feed(self, samples: Float32) -> tuple[Float32, ...]:
        held = np.concatenate([self._held, samples])
        loud = np.flatnonzero(np.abs(samples) > self._threshold) + len(self._held)
        if not len(loud):
            # Before the first sound only what may stay is worth keeping.
            self._held = held if self._heard else held[max(0, len(held) - self._keep) :]
            return ()
        start = 0 if self._heard else max(0, int(loud[0]) - self._keep)
        end = int(loud[-1]) + 1
        self._heard = True
        self._held = held[end:]
        return (held[start:end],)

    def flush(self) -> tuple[Float32, ...]:
        held, self._held = self._held, EMPTY
        return (held[: self._keep],) if self._heard else ()
