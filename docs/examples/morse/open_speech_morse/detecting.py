"""The engine that finds tones, and the state of one stream."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from open_speech_core.providers import DetectorEngine, DetectorSession
from open_speech_core.types import Activity, Float32, SessionConfig

HOP = 320
QUIET = 0.01


class ToneFinder(DetectorEngine):
    max_concurrency = 8

    def open(self, config: SessionConfig) -> ToneSession:
        return ToneSession()


class ToneSession(DetectorSession):
    def __init__(self) -> None:
        self._rest: Float32 = np.empty(0, np.float32)
        self._offset = 0

    def feed(self, samples: Float32) -> Iterator[Activity]:
        self._rest = np.concatenate([self._rest, samples])
        whole = len(self._rest) - len(self._rest) % HOP
        if whole == 0:
            return
        levels = np.abs(self._rest[:whole]).reshape(-1, HOP).mean(axis=1)
        probabilities = tuple((levels / (levels + QUIET)).tolist())
        yield Activity(offset=self._offset, hop=HOP, probabilities=probabilities)
        self._rest, self._offset = self._rest[whole:], self._offset + whole

    def flush(self) -> Iterator[Activity]:
        if len(self._rest):
            yield from self.feed(np.zeros(HOP - len(self._rest), np.float32))
