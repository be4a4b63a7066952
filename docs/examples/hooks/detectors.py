"""A detector that takes all that is loud for speech."""

from __future__ import annotations

from collections.abc import Iterator

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Detector, DetectorEngine, DetectorSession, NoOptions
from open_speech_core.types import Activity, Float32, LoadSpec, Model, ProviderInfo, SessionConfig

HOP = 512


class Loudness(Detector[NoOptions]):
    info = ProviderInfo(name="loudness", title="Loudness", licence="MIT")

    def models(self) -> tuple[Model, ...]:
        return (Model(id="loudness", kind="detector", rate=16_000, span_s=None),)

    def load(self, spec: LoadSpec) -> DetectorEngine:
        return Ear()


class Ear(DetectorEngine):
    def open(self, config: SessionConfig) -> DetectorSession:
        return Stream()


class Stream(DetectorSession):
    """Pieces come in any size; hops go out in one."""

    def __init__(self) -> None:
        self._rest: list[float] = []
        self._offset = 0

    def feed(self, samples: Float32) -> Iterator[Activity]:
        self._rest += samples.tolist()
        while len(self._rest) >= HOP:
            hop, self._rest = self._rest[:HOP], self._rest[HOP:]
            level = sum(map(abs, hop)) / HOP
            yield Activity(offset=self._offset, hop=HOP, probabilities=(level / (level + 0.01),))
            self._offset += HOP

    def flush(self) -> Iterator[Activity]:
        if self._rest:
            import numpy as np

            yield from self.feed(np.zeros(HOP - len(self._rest), np.float32))


@hookimpl
def open_speech_register_detectors() -> list[type[Loudness]]:
    return [Loudness]
