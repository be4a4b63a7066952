"""What a type checker must know of the contract: each reveal_type says what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, reveal_type

from msgspec import Struct

from open_speech_core.audio import read, to_wire, view
from open_speech_core.errors import OpenSpeechError, from_info
from open_speech_core.options import decode_request_options, from_environment
from open_speech_core.plugins import discover
from open_speech_core.providers import AnyProvider, Context, Synthesizer, Transcriber, TranscriberEngine
from open_speech_core.testing import Report, check_plugin
from open_speech_core.types import Audio, LoadSpec, MappedFile, Model, Segment, TranscribeRequest
from open_speech_core.worker import protocol as p
from open_speech_core.worker.engines import describe
from open_speech_echo.options import EchoOptions
from open_speech_echo.provider import EchoSynthesizer, EchoTranscriber


class Mine(Struct, frozen=True, kw_only=True):
    beam: int = 5


def structs(model: Model, segment: Segment, request: TranscribeRequest) -> None:
    reveal_type(model.rate)  # int
    reveal_type(model.span_s)  # float | None
    reveal_type(segment.words)  # tuple[Word, ...] | None
    reveal_type(request.audio)  # MappedFile | Samples
    reveal_type(request.options)  # Any
    reveal_type(Model(id="a", kind="detector", rate=16_000).kind)  # Literal['transcriber'
    model.rate = 8000  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    Model("a", "detector", 1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Model(id="a", kind="reader", rate=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def samples(audio: Audio, file: MappedFile) -> None:
    reveal_type(audio.samples)  # ndarray[tuple[int], dtype[
    reveal_type(read(file))  # ndarray[tuple[int], dtype[
    reveal_type(view(b""))  # ndarray[tuple[int], dtype[
    reveal_type(next(to_wire(audio)))  # Samples


def providers(echo: EchoTranscriber, voice: EchoSynthesizer, any_of_them: AnyProvider, spec: LoadSpec) -> None:
    reveal_type(echo.options)  # EchoOptions
    reveal_type(echo.options.max_concurrency)  # int
    reveal_type(echo.load(spec))  # EchoTranscriberEngine
    reveal_type(voice.voices(voice.models()[0]))  # tuple[Voice, ...]
    reveal_type(any_of_them.options)  # Any
    reveal_type(any_of_them.resolve("x"))  # Model | None
    reveal_type(any_of_them.load(spec))  # Engine


def engines(engine: TranscriberEngine, request: TranscribeRequest, provider: Transcriber[Mine]) -> None:
    reveal_type(next(engine.transcribe(request, Context())))  # Info | Segment
    reveal_type(provider.options.beam)  # int
    reveal_type(provider.load(LoadSpec(model=next(iter(provider.models())))))  # TranscriberEngine


def frames(payload: bytes) -> None:
    reveal_type(p.encode(p.Ping(number=1)))  # bytes
    frame = p.decode_from_worker(payload)
    if isinstance(frame, p.ItemFrame):
        reveal_type(frame.item)  # Info | Segment | Samples | Timing | SpeakerTurn | Activity
    p.encode(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def options(environ: dict[str, str], fields: dict[str, Any]) -> None:
    reveal_type(from_environment(EchoOptions, "ECHO_", environ, []))  # EchoOptions
    reveal_type(decode_request_options(Mine, fields, strict=True))  # Struct


def discovery() -> Report:
    found = discover(["open_speech_echo"])
    reveal_type(found.plugins[0].error)  # str | None
    reveal_type(found.providers[0].cls)  # type[Provider[Any]]
    reveal_type(next(describe("open_speech_echo")).models)  # tuple[Model, ...]
    return check_plugin("open_speech_echo", home=Path())


def errors(error: OpenSpeechError) -> None:
    reveal_type(error.param)  # str | None
    reveal_type(from_info(error.info()))  # OpenSpeechError


class Incomplete(Synthesizer[Mine]):
    pass


Incomplete(Mine(), Path())  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]
