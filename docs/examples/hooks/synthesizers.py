"""A synthesizer that beeps once a word."""

from __future__ import annotations

from collections.abc import Iterator

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Context, NoOptions, Synthesizer, SynthesizerEngine
from open_speech_core.types import Audio, Float32, LoadSpec, Model, ProviderInfo, SynthesizeRequest, Voice

RATE = 24_000


class Beeps(Synthesizer[NoOptions]):
    info = ProviderInfo(name="beeps", title="Beeps", licence="MIT")

    def models(self) -> tuple[Model, ...]:
        return (Model(id="beeps", kind="synthesizer", rate=RATE),)

    def voices(self, model: Model) -> tuple[Voice, ...]:
        return (Voice(id="beep", name="Beep"),)

    def load(self, spec: LoadSpec) -> SynthesizerEngine:
        return Beeper()


class Beeper(SynthesizerEngine):
    def synthesize(self, request: SynthesizeRequest, context: Context) -> Iterator[Audio]:
        import numpy as np

        times = np.arange(RATE // 4) / RATE
        beep: Float32 = (0.3 * np.sin(2 * np.pi * 660 * times)).astype(np.float32)
        for _word in request.text.split():
            context.check()
            yield Audio(samples=beep, rate=RATE)


@hookimpl
def open_speech_register_synthesizers() -> list[type[Beeps]]:
    return [Beeps]
