"""The engine: many windows a call of ONNX Runtime, state and remainder carried between feeds."""

from __future__ import annotations

from typing import Any

import numpy as np

from open_speech_core.errors import InvalidRequest
from open_speech_core.providers import DetectorEngine, DetectorSession
from open_speech_core.runtimes import onnx
from open_speech_core.types import Activity, Float32, SessionConfig

from .provider import RATE

HOP = 512
"""New samples a window."""
CONTEXT = 64
"""Samples before a window that the model wants to see again."""
WINDOWS = 256
"""Most windows a call of ONNX Runtime: bounds memory; more is no faster."""
STATE_SHAPE = (1, 1, 128)


class SileroEngine(DetectorEngine):
    """One ONNX Runtime session, which takes calls from any thread; each stream keeps its own state."""

    max_concurrency = 8

    def __init__(self, weights: bytes) -> None:
        self._model = onnx.open_small(weights)
        self.compute_type = "float32"

    def open(self, config: SessionConfig) -> SileroSession:
        if config.rate != RATE:
            raise InvalidRequest(f"Silero VAD takes {RATE} Hz, not {config.rate}")
        return SileroSession(self._model)

    def warm_up(self) -> None:
        self.open(SessionConfig(rate=RATE)).feed(np.zeros(HOP, np.float32))


class SileroSession(DetectorSession):
    """One stream. The model's recurrent state runs through a call's windows inside the graph."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._h = np.zeros(STATE_SHAPE, np.float32)
        self._c = np.zeros(STATE_SHAPE, np.float32)
        self._tail = np.zeros(CONTEXT, np.float32)
        """The last context and, after it, samples that do not fill a window yet."""
        self._offset = 0

    def feed(self, samples: Float32) -> list[Activity]:
        stream = np.concatenate((self._tail, samples))
        hops = (len(stream) - CONTEXT) // HOP
        self._tail = stream[hops * HOP :].copy()
        if hops == 0:
            return []
        windows = np.lib.stride_tricks.sliding_window_view(stream, CONTEXT + HOP)[::HOP][:hops]
        found = [self._run(windows[first : first + WINDOWS]) for first in range(0, hops, WINDOWS)]
        activity = Activity(
            offset=self._offset, hop=HOP, probabilities=tuple(np.concatenate(found).astype(float).tolist())
        )
        self._offset += hops * HOP
        return [activity]

    def flush(self) -> list[Activity]:
        left = len(self._tail) - CONTEXT
        return self.feed(np.zeros(HOP - left, np.float32)) if left else []

    def _run(self, windows: np.ndarray[Any, np.dtype[np.float32]]) -> Float32:
        inputs = {"input": np.ascontiguousarray(windows), "h": self._h, "c": self._c}
        probabilities, self._h, self._c = self._model.run(None, inputs)
        return np.asarray(probabilities, np.float32).reshape(-1)
