"""A transcriber that says how long it listened."""

from __future__ import annotations

from collections.abc import Iterator

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Context, NoOptions, Transcriber, TranscriberEngine
from open_speech_core.types import Info, LoadSpec, Model, ProviderInfo, Segment, TranscribeRequest


class Stopwatch(Transcriber[NoOptions]):
    info = ProviderInfo(name="stopwatch", title="Stopwatch", licence="MIT")

    def models(self) -> tuple[Model, ...]:
        return (Model(id="stopwatch", kind="transcriber", rate=16_000, span_s=None),)

    def load(self, spec: LoadSpec) -> TranscriberEngine:
        return Listener()


class Listener(TranscriberEngine):
    def transcribe(self, request: TranscribeRequest, context: Context) -> Iterator[Info | Segment]:
        from open_speech_core.audio import frames_of

        seconds = frames_of(request.audio) / request.audio.rate
        yield Info(language="en")
        if seconds:
            yield Segment(start=0.0, end=seconds, text=f" {seconds:.1f} seconds")


@hookimpl
def open_speech_register_transcribers() -> list[type[Stopwatch]]:
    return [Stopwatch]
