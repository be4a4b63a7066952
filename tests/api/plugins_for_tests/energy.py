"""A detector by loudness and two processors, through the real contract."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import (
    Detector,
    DetectorEngine,
    DetectorSession,
    NoOptions,
    Processor,
    ProcessorEngine,
    ProcessorSession,
)
from open_speech_core.types import Activity, Float32, LoadSpec, Model, ProviderInfo, SessionConfig

DETECTOR = Model(id="energy", kind="detector", rate=8_000)
HALF = Model(id="half", kind="processor", rate=0)
LATE = Model(id="late", kind="processor", rate=0)
HOP = 256
LATE_FRAMES = 1000
LOADS: list[str] = []


class EnergySession(DetectorSession):
    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)
        self._offset = 0

    def feed(self, samples: Float32) -> Iterable[Activity]:
        joined = np.concatenate((self._rest, samples))
        whole = len(joined) // HOP * HOP
        self._rest = joined[whole:]
        if whole:
            rms = np.sqrt(np.square(joined[:whole].reshape(-1, HOP)).mean(axis=1))
            offset, self._offset = self._offset, self._offset + whole
            yield Activity(offset=offset, hop=HOP, probabilities=tuple(np.minimum(1, rms * 10).tolist()))

    def flush(self) -> Iterable[Activity]:
        return self.feed(np.zeros(-len(self._rest) % HOP, np.float32))


class EnergyEngine(DetectorEngine):
    max_concurrency = 2

    def open(self, config: SessionConfig) -> DetectorSession:
        assert config.rate == DETECTOR.rate
        return EnergySession()


class EnergyDetector(Detector[NoOptions]):
    info = ProviderInfo(name="energy", title="Energy", licence="MIT")

    def models(self) -> Iterable[Model]:
        return (DETECTOR,)

    def load(self, spec: LoadSpec) -> DetectorEngine:
        LOADS.append(spec.model.id)
        return EnergyEngine()


class HalfSession(ProcessorSession):
    """Halves the level."""

    def feed(self, samples: Float32) -> Iterable[Float32]:
        yield samples * np.float32(0.5)

    def flush(self) -> Iterable[Float32]:
        return ()


class LateSession(ProcessorSession):
    """Gives everything, the last ``LATE_FRAMES`` only at the end."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)

    def feed(self, samples: Float32) -> Iterable[Float32]:
        joined = np.concatenate((self._rest, samples))
        cut = max(0, len(joined) - LATE_FRAMES)
        self._rest = joined[cut:]
        yield joined[:cut]

    def flush(self) -> Iterable[Float32]:
        yield self._rest


class TestProcessorEngine(ProcessorEngine):
    def __init__(self, session: type[ProcessorSession]) -> None:
        self._session = session

    def open(self, config: SessionConfig) -> ProcessorSession:
        return self._session()


class EnergyProcessor(Processor[NoOptions]):
    info = ProviderInfo(name="energy", title="Energy", licence="MIT")

    def models(self) -> Iterable[Model]:
        return (HALF, LATE)

    def load(self, spec: LoadSpec) -> ProcessorEngine:
        return TestProcessorEngine(HalfSession if spec.model.id == "half" else LateSession)


@hookimpl
def open_speech_register_detectors() -> list[type[Detector[NoOptions]]]:
    return [EnergyDetector]


@hookimpl
def open_speech_register_processors() -> list[type[Processor[NoOptions]]]:
    return [EnergyProcessor]
