"""A diarizer of people who each whistle one tone, at a rate of its own. Known ones are told by their tone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import numpy as np

from open_speech_core.audio import read
from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Context, Diarizer, DiarizerEngine, NoOptions
from open_speech_core.types import DiarizeRequest, Float32, LoadSpec, Model, ProviderInfo, SpeakerTurn

MODEL = Model(id="tones", kind="diarizer", rate=8_000, span_s=None)
HOP_S = 0.25


def tone_of(samples: Float32) -> str:
    """Give the loudest frequency to 20 Hz; empty for silence."""
    if not len(samples) or np.abs(samples).max() < 0.01:
        return ""
    spectrum = np.abs(np.fft.rfft(samples))
    return f"{20 * round(np.argmax(spectrum) * MODEL.rate / len(samples) / 20)} Hz"


class TonesEngine(DiarizerEngine):
    def diarize(self, request: DiarizeRequest, context: Context) -> Iterator[SpeakerTurn]:
        assert request.audio.rate == MODEL.rate
        names = {tone_of(read(known.audio)): known.name for known in request.known}
        samples = read(request.audio)
        hop = round(HOP_S * MODEL.rate)
        heard = [tone_of(samples[at : at + hop]) for at in range(0, len(samples), hop)]
        at = 0
        for tone, hops in groupby(heard):
            count = len(list(hops))
            if tone:
                end = min((at + count) * HOP_S, len(samples) / MODEL.rate)
                yield SpeakerTurn(start=at * HOP_S, end=end, speaker=names.get(tone, tone))
            at += count


class Tones(Diarizer[NoOptions]):
    info = ProviderInfo(name="tones", title="Tones", licence="MIT")

    def models(self) -> Iterable[Model]:
        return (MODEL,)

    def load(self, spec: LoadSpec) -> DiarizerEngine:
        return TonesEngine()


@hookimpl
def open_speech_register_diarizers() -> list[type[Tones]]:
    return [Tones]
