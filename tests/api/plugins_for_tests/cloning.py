"""A voice that is whatever it is given: each piece of text is the reference, played once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from open_speech_core.audio import read
from open_speech_core.errors import FeatureNotSupported
from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Context, NoOptions, Synthesizer, SynthesizerEngine
from open_speech_core.types import Audio, Capabilities, LoadSpec, Model, ProviderInfo, SynthesizeRequest, Voice

RATE = 16_000


class ParrotEngine(SynthesizerEngine):
    device = "cpu"
    compute_type = "none"

    def synthesize(self, request: SynthesizeRequest, context: Context) -> Iterator[Audio]:
        if request.reference is None:
            seconds = (request.seed or 10) / 10
            yield Audio(samples=np.full(round(seconds * RATE), 0.25, np.float32), rate=RATE)
            return
        if request.reference_text == "raise":
            raise FeatureNotSupported("said so", param="clone_transcript")
        yield Audio(samples=np.array(read(request.reference), np.float32), rate=request.reference.rate)


class Parrot(Synthesizer[NoOptions]):
    info = ProviderInfo(name="parrot", title="Parrot", licence="MIT")
    capabilities = Capabilities(
        weight="light", voice_clone=True, voice_design=True, instructions=True, seed=True, speed_control=True
    )

    def models(self) -> tuple[Model, ...]:
        return (Model(id="parrot", kind=self.kind, rate=RATE),)

    def voices(self, model: Model) -> tuple[Voice, ...]:
        return (Voice(id="own", name="Own"),)

    def load(self, spec: LoadSpec) -> ParrotEngine:
        return ParrotEngine()


@hookimpl
def open_speech_register_synthesizers() -> list[type[Synthesizer[Any]]]:
    return [Parrot]
