"""A diarizer for recordings in which the speakers change every ten seconds."""

from __future__ import annotations

from collections.abc import Iterator

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Context, Diarizer, DiarizerEngine, NoOptions
from open_speech_core.types import DiarizeRequest, LoadSpec, Model, ProviderInfo, SpeakerTurn

TURN_S = 10.0


class Turns(Diarizer[NoOptions]):
    info = ProviderInfo(name="turns", title="Turns", licence="MIT")

    def models(self) -> tuple[Model, ...]:
        return (Model(id="turns", kind="diarizer", rate=16_000, span_s=None),)

    def load(self, spec: LoadSpec) -> DiarizerEngine:
        return Clock()


class Clock(DiarizerEngine):
    def diarize(self, request: DiarizeRequest, context: Context) -> Iterator[SpeakerTurn]:
        from open_speech_core.audio import frames_of

        duration_s = frames_of(request.audio) / request.audio.rate
        start, number = 0.0, 0
        while start < duration_s:
            end = min(start + TURN_S, duration_s)
            yield SpeakerTurn(start=start, end=end, speaker=f"speaker {number % (request.speakers or 2) + 1}")
            start, number = end, number + 1


@hookimpl
def open_speech_register_diarizers() -> list[type[Turns]]:
    return [Turns]
