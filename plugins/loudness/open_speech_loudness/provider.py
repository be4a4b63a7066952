"""Three processors: two for what people hear, one for what recognisers are given."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from open_speech_core.providers import NoOptions, Processor, ProcessorEngine
from open_speech_core.types import Capabilities, LoadSpec, Model, ProviderInfo

RATE = 24_000
"""Any rate is taken; this is what the conformance kit tries."""
STREAMS = Capabilities(weight="light", streaming=True)


class NormalizeOptions(Struct, frozen=True, kw_only=True):
    target_lufs: Annotated[float, Meta(ge=-40, le=-5, description="Integrated loudness, LUFS.")] = -16.0


class LevelOptions(Struct, frozen=True, kw_only=True):
    target_dbfs: Annotated[float, Meta(ge=-40, le=-6, description="RMS of what is not silence, dBFS.")] = -18.0


class PeakOptions(Struct, frozen=True, kw_only=True):
    target: Annotated[float, Meta(ge=0.1, le=1, description="The loudest sample.")] = 0.95


class NormalizeProcessor(Processor[NoOptions]):
    """Brings a stream to a loudness; no true peak passes -1 dB."""

    info = ProviderInfo(
        name="normalize",
        title="Loudness",
        licence="MIT",
        homepage="https://github.com/csteinmetz1/pyloudnorm",
    )
    capabilities = STREAMS
    RequestOptions = NormalizeOptions

    def models(self) -> tuple[Model, ...]:
        said = "Integrated loudness by BS.1770, true peak at most -1 dB. The first 10 s are heard before any is sent."
        return (_model("normalize", "Loudness", said),)

    def load(self, spec: LoadSpec) -> ProcessorEngine:
        from .engine import NormalizeEngine

        return NormalizeEngine()


class LevelProcessor(Processor[NoOptions]):
    """Brings speech to the level that recognisers were trained on."""

    info = ProviderInfo(name="level", title="Speech level", licence="MIT")
    capabilities = STREAMS
    RequestOptions = LevelOptions

    def models(self) -> tuple[Model, ...]:
        said = "RMS of what is not silence; the gain ends where peaks would clip, and near-silence is left alone."
        return (_model("level", "Speech level", said),)

    def load(self, spec: LoadSpec) -> ProcessorEngine:
        from .engine import LevelEngine

        return LevelEngine()


class PeakProcessor(Processor[NoOptions]):
    """Makes speech as loud as its peaks allow."""

    info = ProviderInfo(name="peak", title="Peak level", licence="MIT")
    capabilities = STREAMS
    RequestOptions = PeakOptions

    def models(self) -> tuple[Model, ...]:
        said = "The loudest sample so far comes to the target; what is louder later is limited."
        return (_model("peak", "Peak level", said),)

    def load(self, spec: LoadSpec) -> ProcessorEngine:
        from .engine import PeakEngine

        return PeakEngine()


def _model(id: str, title: str, description: str) -> Model:
    return Model(id=id, kind="processor", rate=RATE, title=title, licence="MIT", span_s=None, description=description)
