"""The provider: one processor."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from open_speech_core.providers import NoOptions, Processor, ProcessorEngine
from open_speech_core.types import Capabilities, LoadSpec, Model, ProviderInfo

RATE = 16_000
"""Any rate is taken; this is what the conformance kit tries."""


class DenoiseRequestOptions(Struct, frozen=True, kw_only=True):
    strength: Annotated[float, Meta(ge=0, le=1, description="Share of the noise that is taken away.")] = 0.9
    stationary: Annotated[bool, Meta(description="The noise is always the same, as a fan's is.")] = False


class DenoiseProcessor(Processor[NoOptions]):
    """Takes steady noise out of speech."""

    info = ProviderInfo(
        name="denoise",
        title="Noise reduction",
        licence="MIT",
        homepage="https://github.com/timsainb/noisereduce",
    )
    capabilities = Capabilities(weight="medium", streaming=True)
    RequestOptions = DenoiseRequestOptions

    def models(self) -> tuple[Model, ...]:
        return (
            Model(
                id="denoise",
                kind=self.kind,
                rate=RATE,
                title="Noise reduction",
                licence="MIT",
                span_s=None,
                description="Spectral gating. Works on stretches of 8 s: the first is heard after so much.",
            ),
        )

    def load(self, spec: LoadSpec) -> ProcessorEngine:
        from .engine import DenoiseEngine

        return DenoiseEngine()
