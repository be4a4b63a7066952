"""A Whisper whose encoder sees the speech and a margin instead of always 30 s; imported at load only.

The encoder's cost grows with its window, and most spans are far shorter than 30 s. The decoder needs silence
behind the speech to know that it is over: with a margin of 8 s the words are those of the full window, with 4 s
and less it begins to loop. A first result that looks wrong is decoded again over the full window.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.transcribe import TranscriptionOptions

from .gathered import Features, GatheredModel, Window

FRAMES_PER_S = 100
MARGIN_S = 8.0
REPEATED_TOKENS = 6
"""Length of a run of tokens that speech does not repeat often."""
REPEATS_ALLOWED = 3
TOKENS_PER_S = 14
"""Nobody says more; two are timestamps."""


class FittedWhisperModel(WhisperModel):  # type: ignore[misc]
    """Overrides what the encoder is shown, and guards what comes of it. Any number of threads may call it."""

    def __init__(self, *args: Any, fitted: bool = True, most_gathered: int = 1, **kwargs: Any) -> None:
        """Load as the library does; windows of up to ``most_gathered`` threads are decoded together."""
        super().__init__(*args, **kwargs)
        self.decoded = 0
        """Windows decoded so far."""
        self.decoded_again = 0
        """Of these, over the full window after the fitted one failed the guard."""
        self._fitted = fitted
        self._counting = threading.Lock()
        self._alone = most_gathered == 1
        self.model = GatheredModel(self.model, most=most_gathered)

    def encode(self, features: Features) -> Window:
        """Choose what the encoder will see: the frames in use and a margin of the zeros behind them."""
        frames = features.shape[-1]
        used = used_frames(features)
        window = min(frames, used + round(MARGIN_S * FRAMES_PER_S)) if self._fitted else frames
        # An even number of frames: the encoder's convolution halves them.
        shown = np.ascontiguousarray(features[..., : window + window % 2])
        return Window(shown=shown, whole=features, speech_s=used / FRAMES_PER_S, encode=super().encode)

    def generate_with_fallback(
        self, encoder_output: Window, prompt: list[int], tokenizer: Any, options: TranscriptionOptions
    ) -> Any:
        """Decode once; when that fails the guard, encode in full and go down the library's whole ladder."""
        window = encoder_output
        if self._alone:
            # Before the temperatures, which look for a cancel.
            _ = window.encoded
        if not window.cut:
            self._count(again=False)
            return super().generate_with_fallback(window, prompt, tokenizer, options)
        once = dataclasses.replace(options, temperatures=first_of(options.temperatures))
        result = super().generate_with_fallback(window, prompt, tokenizer, once)
        right = looks_right(result, options, window.speech_s)
        self._count(again=not right)
        if right:
            return result
        return super().generate_with_fallback(window.in_full(), prompt, tokenizer, options)

    def _count(self, *, again: bool) -> None:
        with self._counting:
            self.decoded += 1
            self.decoded_again += again


def first_of(temperatures: Sequence[float]) -> Sequence[float]:
    """Give the first rung; iterating looks for a cancel (see ``engine.Temperatures``)."""
    for temperature in temperatures:
        return [temperature]
    return temperatures


def used_frames(features: Features) -> int:
    """Count the frames before the padding, which is exact zeros in every band."""
    heard = np.flatnonzero(features.any(axis=tuple(range(features.ndim - 1))))
    return int(heard[-1]) + 1 if len(heard) else 0


def looks_right(result: tuple[Any, float, float, float], options: TranscriptionOptions, speech_s: float) -> bool:
    """Say whether a result passes the library's own checks and does not loop."""
    generated, avg_logprob, _, compression_ratio = result
    tokens: list[int] = generated.sequences_ids[0]
    if options.compression_ratio_threshold is not None and compression_ratio > options.compression_ratio_threshold:
        return False
    if options.log_prob_threshold is not None and avg_logprob < options.log_prob_threshold:
        return False
    return len(tokens) <= TOKENS_PER_S * max(speech_s, 1.0) and not loops(tokens)


def loops(tokens: Sequence[int]) -> bool:
    """Say whether a run of tokens comes back more often than speech would bring it."""
    runs = Counter(tuple(tokens[at : at + REPEATED_TOKENS]) for at in range(len(tokens) - REPEATED_TOKENS + 1))
    return any(count > REPEATS_ALLOWED for count in runs.values())
