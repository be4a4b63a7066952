"""The detectors and processors that work inside a media worker: loaded once, shared by all calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, cast

import numpy as np

from open_speech_core.errors import FeatureNotSupported
from open_speech_core.providers import DetectorEngine, DetectorSession, ProcessorEngine, ProcessorSession
from open_speech_core.types import Activity, EngineSpec, Float32, SessionConfig
from open_speech_core.worker.engines import Made, make_provider

from .resample import EMPTY, Resampler

Check: TypeAlias = Callable[[], None]

SLICE_S = 1
"""Processors are fed this much at once, so that a cancel is seen between slices."""


class SharedEngine:
    """A loaded engine and how many threads may be inside it."""

    def __init__(self, made: Made, spec: EngineSpec) -> None:
        self._made = made
        self._spec = spec
        self.engine = made.load(spec.load)
        self.engine.warm_up()
        self.places = threading.BoundedSemaphore(max(1, self.engine.max_concurrency))

    def open(self, rate: int, options: Any = None) -> DetectorSession | ProcessorSession:
        """Start a stream, without ``options`` with the provider's own defaults. Raises ``FeatureNotSupported``."""
        if not isinstance(self.engine, DetectorEngine | ProcessorEngine):
            raise FeatureNotSupported(f"{self._spec.load.model.id!r} cannot be used on a stream")
        return self.engine.open(self._made.with_options(SessionConfig(rate=rate, options=options)))


class Engines:
    """Engines by their spec; loaded by whoever asks first, while others wait. Any thread."""

    def __init__(self) -> None:
        self._engines: dict[EngineSpec, SharedEngine] = {}
        self._lock = threading.Lock()

    def get(self, spec: EngineSpec) -> SharedEngine:
        """Give the engine, loaded and warm. Raises ``LoadFailed``."""
        with self._lock:
            if (found := self._engines.get(spec)) is None:
                found = self._engines[spec] = SharedEngine(make_provider(spec), spec)
            return found

    def close(self) -> None:
        """Close all engines; no session may be open."""
        with self._lock:
            for shared in self._engines.values():
                shared.engine.close()
            self._engines.clear()


class Detection:
    """One stream through a detector, brought to its rate."""

    def __init__(self, engines: Engines, spec: EngineSpec, rate: int) -> None:
        self.rate = spec.load.model.rate
        self._shared = engines.get(spec)
        self._resampler = Resampler(rate, self.rate)
        self._session = cast("DetectorSession", self._shared.open(self.rate))

    def feed(self, samples: Float32) -> Iterable[Activity]:
        """Take any number of samples."""
        with self._shared.places:
            return list(self._session.feed(self._resampler.feed(samples)))

    def flush(self) -> Iterable[Activity]:
        """Give what is left."""
        with self._shared.places:
            return [*self._session.feed(self._resampler.flush()), *self._session.flush()]

    def close(self) -> None:
        self._session.close()


class Processing:
    """One stream through processors, one after another; without any, samples pass untouched."""

    def __init__(self, engines: Engines, specs: Sequence[EngineSpec], rate: int, options: Sequence[Any] = ()) -> None:
        """Open a session of each; ``options`` has those of each, or is empty."""
        self._rate = rate
        self._steps: list[tuple[SharedEngine, ProcessorSession]] = []
        for spec, own in zip(specs, options or [None] * len(specs), strict=True):
            shared = engines.get(spec)
            self._steps.append((shared, cast("ProcessorSession", shared.open(rate, own))))

    def feed(self, samples: Float32, check: Check) -> Float32:
        """Take any number of samples, give what is ready; ``check`` is called at every second of it."""
        if not self._steps:
            return samples
        size = self._rate * SLICE_S
        made: list[Float32] = []
        for start in range(0, len(samples), size):
            check()
            piece = samples[start : start + size]
            for shared, session in self._steps:
                with shared.places:
                    piece = _joined(session.feed(piece))
            made.append(piece)
        return _joined(made)

    def flush(self) -> Float32:
        """Give the tails of all, each taken through those that follow."""
        tail = EMPTY
        for shared, session in self._steps:
            with shared.places:
                tail = _joined([*session.feed(tail), *session.flush()])
        return tail

    def close(self) -> None:
        for _, session in self._steps:
            session.close()


def _joined(parts: Iterable[Float32]) -> Float32:
    kept = [part for part in parts if len(part)]
    if not kept:
        return EMPTY
    return kept[0] if len(kept) == 1 else np.concatenate(kept)
