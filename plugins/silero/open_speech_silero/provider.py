"""The provider: one model, whose weights are part of this package."""

from __future__ import annotations

from pathlib import Path

from open_speech_core.errors import LoadFailed
from open_speech_core.providers import Detector, DetectorEngine, NoOptions
from open_speech_core.shipped import read_weights
from open_speech_core.types import Artifacts, Capabilities, LoadSpec, Model, ProviderInfo

RATE = 16_000
WEIGHTS = Path(__file__).with_name("silero_vad_v6.onnx")
WEIGHTS_BYTES = 1_245_151
WEIGHTS_SHA256 = "4cbf549b8326f60f80f2536d9eefeb450a9abe83365a098031c89719f1be17d2"

MODEL = Model(
    id="silero-vad-v6",
    kind="detector",
    rate=RATE,
    title="Silero VAD v6",
    bytes=WEIGHTS_BYTES,
    licence="MIT",
    memory_mb=40,
    span_s=None,
    description="Probability of speech for each 32 ms.",
)


class SileroDetector(Detector[NoOptions]):
    """Finds speech."""

    info = ProviderInfo(
        name="silero",
        title="Silero VAD",
        licence="MIT",
        homepage="https://github.com/snakers4/silero-vad",
        env_prefix="SILERO_",
    )
    capabilities = Capabilities(weight="light", streaming=True)

    def models(self) -> tuple[Model, ...]:
        return (MODEL,)

    def artifacts(self, model: Model) -> Artifacts:
        return Artifacts(complete=WEIGHTS.is_file())

    def load(self, spec: LoadSpec) -> DetectorEngine:
        from .engine import SileroEngine

        if spec.device.startswith("cuda"):
            raise LoadFailed(f"{MODEL.title} runs on the CPU only, not on {spec.device!r}")
        weights = read_weights(WEIGHTS, sha256=WEIGHTS_SHA256, id=MODEL.id, distribution="open-speech-silero")
        return SileroEngine(weights)
