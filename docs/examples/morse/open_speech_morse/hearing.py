"""The engine that listens: a segment a word."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from open_speech_core.audio import read as read_audio
from open_speech_core.providers import Context, TranscriberEngine
from open_speech_core.types import Info, Segment, TranscribeRequest, Word

from .code import read
from .synthesizer import MorseOptions

STEPS_A_UNIT = 6
QUIET = 0.01
"""Below this mean level there is no tone."""


class MorseListener(TranscriberEngine):
    max_concurrency = 4

    def __init__(self, options: MorseOptions) -> None:
        self._step_s = options.unit_ms / 1000 / STEPS_A_UNIT

    def transcribe(self, request: TranscribeRequest, context: Context) -> Iterator[Info | Segment]:
        yield Info()
        samples = read_audio(request.audio)
        duration_s = len(samples) / request.audio.rate
        step = round(request.audio.rate * self._step_s)
        levels = np.pad(np.abs(samples), (0, -len(samples) % step)).reshape(-1, step).mean(axis=1)
        down = levels > max(levels.max(initial=0.0) / 2, QUIET)
        keyed = "".join("1" if each else "0" for each in down)
        # A word: tones with less than five units of silence between them.
        for found in re.finditer(f"1+(0{{1,{5 * STEPS_A_UNIT - 1}}}1+)*", keyed):
            context.check()
            text = " " + read(found.group(), STEPS_A_UNIT)
            start, end = found.start() * self._step_s, min(found.end() * self._step_s, duration_s)
            words = (Word(word=text, start=start, end=end),) if request.word_timestamps else None
            if text.strip():
                yield Segment(start=start, end=end, text=text, words=words)
