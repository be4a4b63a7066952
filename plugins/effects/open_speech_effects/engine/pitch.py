"""Higher or lower, as long as before."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from python_stretch import Signalsmith

from open_speech_core.providers import ProcessorSession
from open_speech_core.types import Float32, SessionConfig

from .effect import soft

if TYPE_CHECKING:
    from open_speech_effects.provider import PitchOptions


class PitchSession(ProcessorSession):
    """Holds the stream until its end: the library takes each call for a whole, from its silence to its silence."""

    def __init__(self, config: SessionConfig) -> None:
        self._semitones = cast("PitchOptions", config.options).semitones
        self._rate = config.rate
        self._held: list[Float32] = []

    def feed(self, samples: Float32) -> tuple[Float32, ...]:
        if not self._semitones:
            return (samples,)
        self._held.append(samples.copy())
        return ()

    def flush(self) -> tuple[Float32, ...]:
        held, self._held = self._held, []
        if not held:
            return ()
        stretch = Signalsmith.Stretch()
        stretch.preset(1, self._rate)
        stretch.setTransposeSemitones(self._semitones)
        made = stretch.process(np.concatenate(held)[None])[0]
        return (soft(np.array(made, np.float32)),)
