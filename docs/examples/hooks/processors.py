"""A processor that halves the level."""

from __future__ import annotations

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import NoOptions, Processor, ProcessorEngine, ProcessorSession
from open_speech_core.types import Float32, LoadSpec, Model, ProviderInfo, SessionConfig


class Quieter(Processor[NoOptions]):
    info = ProviderInfo(name="quieter", title="Quieter", licence="MIT")

    def models(self) -> tuple[Model, ...]:
        return (Model(id="quieter", kind="processor", rate=16_000, span_s=None),)

    def load(self, spec: LoadSpec) -> ProcessorEngine:
        return Half()


class Half(ProcessorEngine):
    def open(self, config: SessionConfig) -> ProcessorSession:
        return Stream()


class Stream(ProcessorSession):
    def feed(self, samples: Float32) -> list[Float32]:
        import numpy as np

        return [samples * np.float32(0.5)]

    def flush(self) -> list[Float32]:
        return []


@hookimpl
def open_speech_register_processors() -> list[type[Quieter]]:
    return [Quieter]
