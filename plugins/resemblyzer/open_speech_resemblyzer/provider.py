"""The provider: one model, whose weights are part of this package. No model library is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from open_speech_core.providers import Diarizer, DiarizerEngine
from open_speech_core.shipped import read_weights
from open_speech_core.types import Artifacts, Capabilities, LoadSpec, Model, ProviderInfo

RATE = 16_000
WEIGHTS = Path(__file__).with_name("voice_encoder.onnx")
WEIGHTS_BYTES = 5_732_470
WEIGHTS_SHA256 = "738c050669bf2b66305a60be74e3a96836d7f386cd7563ef384bb47b42eb9891"

MODEL = Model(
    id="resemblyzer",
    kind="diarizer",
    rate=RATE,
    title="Resemblyzer and Silero VAD",
    bytes=WEIGHTS_BYTES,
    licence="Apache-2.0",
    memory_mb=120,
    span_s=None,
    description="Who speaks when: speech by Silero VAD, voices by a GE2E encoder, clustered. No overlapping speech.",
)


class ResemblyzerOptions(Struct, frozen=True, kw_only=True):
    """From the environment, as ``RESEMBLYZER_THRESHOLD`` and so on."""

    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.4
    """Mean cosine distance between the voices of two groups from which on they are two speakers."""
    max_speakers: Annotated[int, Meta(ge=1, le=100)] = 10
    """Most speakers that are found where a request does not say how many there are."""


class ResemblyzerDiarizer(Diarizer[ResemblyzerOptions]):
    """Tells speakers apart without an account and without a network."""

    info = ProviderInfo(
        name="resemblyzer",
        title="Resemblyzer",
        licence="MIT",
        homepage="https://github.com/resemble-ai/Resemblyzer",
        env_prefix="RESEMBLYZER_",
    )
    capabilities = Capabilities(weight="heavy")
    Options = ResemblyzerOptions

    def models(self) -> tuple[Model, ...]:
        return (MODEL,)

    def artifacts(self, model: Model) -> Artifacts:
        return Artifacts(complete=WEIGHTS.is_file())

    def load(self, spec: LoadSpec) -> DiarizerEngine:
        """Load the weights; always on the CPU, whatever device the recogniser has: it is fast enough there."""
        from .engine import ResemblyzerEngine

        weights = read_weights(WEIGHTS, sha256=WEIGHTS_SHA256, id=MODEL.id, distribution="open-speech-resemblyzer")
        return ResemblyzerEngine(self.options, weights, spec.threads)
