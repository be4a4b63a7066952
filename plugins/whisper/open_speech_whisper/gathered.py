"""Decodes of several threads as one call of the model; imported at load only.

On a GPU the decoder reads all its weights for every token, for eight windows as for one. On a CPU a pair of
windows of one length saves a tenth of the time and makes both wait for the longer, so there nothing is gathered.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Features: TypeAlias = npt.NDArray[np.float32]
"""Log-mel spectrogram, shape ``(mels, frames)``."""


class Window:
    """What one call shows the encoder; encoded alone only if somebody asks for that."""

    def __init__(self, *, shown: Features, whole: Features, speech_s: float, encode: Callable[[Features], Any]) -> None:
        self.shown = shown
        self.speech_s = speech_s
        self._whole = whole
        self._encode = encode

    @property
    def cut(self) -> bool:
        """Say whether the encoder is shown less than there is."""
        return self.shown.shape[-1] < self._whole.shape[-1]

    def in_full(self) -> Window:
        """Give the same window, all of it."""
        return Window(shown=self._whole, whole=self._whole, speech_s=self.speech_s, encode=self._encode)

    @cached_property
    def encoded(self) -> Any:
        """Give the encoder's output, a CTranslate2 ``StorageView`` of a batch of one."""
        return self._encode(self.shown)


class GatheredModel:
    """A CTranslate2 Whisper that takes windows; calls that meet at a busy decoder are decoded together.

    Whoever comes while the decoder works waits; the first of those who wait then decodes for up to ``most`` of
    them whose settings are equal. Nobody waits for others to come.
    """

    def __init__(self, model: Any, *, most: int) -> None:
        self._model = model
        self._most = most
        self._waiting: list[_Decode] = []
        self._gathering = threading.Lock()
        self._turn = threading.Lock()
        self.longest_s = 0.0
        """The longest call of the model so far, seconds: nothing stops one that has begun."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, window: Window, prompts: list[list[int]], **settings: Any) -> list[Any]:
        """Decode one window, perhaps with others; raise what the model raised."""
        if self._most == 1:
            encoded = window.encoded
            return list(self._timed(self._model.generate, encoded, prompts, **settings))
        decode = _Decode(window, prompts[0], settings)
        with self._gathering:
            self._waiting.append(decode)
        with self._turn:
            if not decode.done:
                self._decode(self._gathered(decode))
        return [decode.result()]

    def detect_language(self, window: Window) -> Any:
        """Detect over the full window, as it was trained."""
        return self._timed(self._model.detect_language, window.in_full().encoded)

    def align(self, window: Window, *args: Any, **settings: Any) -> Any:
        """Find the times of words in one window."""
        return self._timed(self._model.align, window.encoded, *args, **settings)

    def encode(self, features: Any, **settings: Any) -> Any:
        """Encode features, as a ``StorageView``."""
        return self._timed(self._model.encode, features, **settings)

    def _timed(self, call: Callable[..., Any], *args: Any, **settings: Any) -> Any:
        since = time.perf_counter()
        try:
            return call(*args, **settings)
        finally:
            self.longest_s = max(self.longest_s, time.perf_counter() - since)

    def _gathered(self, first: _Decode) -> list[_Decode]:
        """Take ``first`` and those who wait and may go with it."""
        with self._gathering:
            alike = [each for each in self._waiting if each is not first and each.goes_with(first)]
            taken = [first, *alike[: self._most - 1]]
            self._waiting = [each for each in self._waiting if each not in taken]
        return taken

    def _decode(self, decodes: list[_Decode]) -> None:
        first = decodes[0]
        try:
            encoded = first.window.encoded if len(decodes) == 1 else self._encoded(decodes)
            results = self._timed(self._model.generate, encoded, [each.prompt for each in decodes], **first.settings)
        except Exception as error:  # fence: engine call, given to every caller
            for each in decodes:
                each.fail(error)
        else:
            for each, result in zip(decodes, results, strict=True):
                each.succeed(result)

    def _encoded(self, decodes: list[_Decode]) -> Any:
        """Encode all windows at the length of the longest; behind the speech of the others come zeros, as always."""
        import ctranslate2

        shown = [each.window.shown for each in decodes]
        frames = max(features.shape[-1] for features in shown)
        batch = np.zeros((len(shown), shown[0].shape[0], frames), np.float32)
        for row, features in zip(batch, shown, strict=True):
            row[:, : features.shape[-1]] = features
        return self.encode(ctranslate2.StorageView.from_array(batch))


class _Decode:
    """One thread's window on its way through the decoder."""

    def __init__(self, window: Window, prompt: list[int], settings: Mapping[str, Any]) -> None:
        self.window = window
        self.prompt = prompt
        self.settings = settings
        self.done = False
        self._result: Any = None
        self._error: Exception | None = None

    def goes_with(self, other: _Decode) -> bool:
        """Say whether one call can decode both: the model wants prompts of one length, and one set of settings."""
        return len(self.prompt) == len(other.prompt) and self.settings == other.settings

    def succeed(self, result: Any) -> None:
        self._result, self.done = result, True

    def fail(self, error: Exception) -> None:
        self._error, self.done = error, True

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._result
