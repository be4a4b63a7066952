"""Frames: what is sent is what is read, and nothing else is."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech_core import types
from open_speech_core.errors import ErrorInfo, ProtocolError
from open_speech_core.worker import protocol as p

MODEL = types.Model(id="echo", kind="transcriber", rate=16_000)
ENGINE = types.EngineSpec(
    plugin="open_speech_echo", kind="transcriber", provider="echo", load=types.LoadSpec(model=MODEL)
)
SAMPLES = types.Samples(data=b"\0\0\0\0", rate=16_000)
DESCRIPTION = types.Description(
    api=(1, 0),
    plugin="x",
    distribution="x",
    version="1",
    kind="synthesizer",
    info=types.ProviderInfo(name="x", title="X", licence="MIT", versions={"x": "1"}),
    capabilities=types.Capabilities(),
    models=(MODEL,),
    voices={"m": (types.Voice(id="v", name="V"),)},
    options_schema={"type": "object"},
)
REQUESTS: list[Any] = [
    types.TranscribeRequest(audio=SAMPLES, prompt="p", options={"a": 1}),
    types.TranscribeRequest(audio=types.MappedFile(path="/f", offset=1, frames=2, rate=8000)),
    types.SynthesizeRequest(text="hello 😀", voice="v", speed=0.5),
    types.DiarizeRequest(audio=SAMPLES, speakers=2),
    types.DecodeRequest(path="/a", target="/b", rate=16_000, detector=ENGINE, processors=(ENGINE,)),
]
CONFIGS: list[Any] = [
    types.SessionConfig(rate=8000, options={}),
    types.EncodeConfig(format="opus", rate=48_000),
]
ITEMS: list[Any] = [
    types.Info(language="en", language_probability=0.5),
    types.Segment(
        start=0.0,
        end=1.0,
        text=" a",
        tokens=(1, 2),
        words=(types.Word(word=" a", start=0.0, end=1.0),),
        logprobs=(types.TokenLogprob(token="a", logprob=-1.0, bytes=(97,)),),
    ),
    SAMPLES,
    types.Timing(word="a", start=0.0, end=0.5),
    types.SpeakerTurn(start=0.0, end=1.0, speaker="A"),
    types.Activity(offset=0, hop=512, probabilities=(0.1, 0.9)),
    types.Span(offset=0, frames=16_000),
    types.Decoded(frames=1, rate=16_000, speech_s=0.0),
    types.Chunk(data=b"\xff"),
    DESCRIPTION,
    types.Artifacts(paths=("/a/b",), complete=True),
]
TO_WORKER: list[Any] = [
    p.Describe(call=1, plugin="x"),
    p.Load(call=1, engine=ENGINE),
    p.Download(call=1, engine=ENGINE),
    *(p.Call(call=2, request=request, credit=1) for request in REQUESTS),
    *(p.Open(call=3, config=config) for config in CONFIGS),
    p.Feed(call=3, data=b"\0" * 8, rate=16_000),
    p.Flush(call=3),
    p.Credit(call=2, items=4),
    p.Cancel(call=2),
    p.Close(),
    p.Close(call=3),
    p.Ping(number=7),
]
FROM_WORKER: list[Any] = [
    p.Hello(protocol=(1, 0), api=(1, 0), pid=1, python="3.11"),
    p.Ready(call=1, loaded=types.Loaded(max_concurrency=2)),
    *(p.ItemFrame(call=2, item=item) for item in ITEMS),
    p.Progress(call=1, done=1, total=2),
    p.Done(call=2, engine_ms=1.5, step_ms=1.0),
    p.Failed(call=2, error=ErrorInfo(code="c", message="m", param="p")),
    p.Pong(number=7),
    p.Log(level=20, logger="l", message="m"),
]


def payload(frame: Any) -> bytes:
    encoded = p.encode(frame)
    assert p.frame_size(encoded[: p.PREFIX.size]) == len(encoded) - p.PREFIX.size
    return encoded[p.PREFIX.size :]


@pytest.mark.parametrize("frame", TO_WORKER, ids=lambda frame: type(frame).__name__)
def test_a_frame_to_a_worker_arrives_as_it_was(frame: Any) -> None:
    assert p.decode_to_worker(payload(frame)) == frame


@pytest.mark.parametrize("frame", FROM_WORKER, ids=lambda frame: type(frame).__name__)
def test_a_frame_from_a_worker_arrives_as_it_was(frame: Any) -> None:
    assert p.decode_from_worker(payload(frame)) == frame


def test_frames_of_another_minor_are_read_as_far_as_they_are_known() -> None:
    frame = p.Load(call=1, engine=ENGINE)
    whole: list[Any] = msgspec.msgpack.decode(payload(frame))
    assert p.decode_to_worker(msgspec.msgpack.encode(whole[:-1])) == frame, "older: without the last field"
    assert p.decode_to_worker(msgspec.msgpack.encode([*whole, "more"])) == frame, "newer: with one more"


def test_every_frame_request_config_and_item_is_tried_here() -> None:
    assert {type(frame) for frame in TO_WORKER} == set(get_args(p.ToWorker))
    assert {type(frame) for frame in FROM_WORKER} == set(get_args(p.FromWorker))
    assert {type(request) for request in REQUESTS} == set(get_args(types.Request))
    assert {type(config) for config in CONFIGS} == set(get_args(types.Config))
    assert {type(item) for item in ITEMS} == set(get_args(types.Item))


@given(size=st.integers(0, 70_000))
def test_samples_of_any_size_arrive(size: int) -> None:
    frame = p.Feed(call=1, data=bytes(size), rate=16_000)
    assert p.decode_to_worker(payload(frame)) == frame


def test_a_frame_at_the_limit_is_sent_and_one_over_it_is_refused() -> None:
    overhead = len(payload(p.Feed(call=1, data=bytes(1 << 20), rate=16_000))) - (1 << 20)
    data = bytes(p.MAX_FRAME_BYTES - overhead)
    assert len(payload(p.Feed(call=1, data=data, rate=16_000))) == p.MAX_FRAME_BYTES
    with pytest.raises(ProtocolError, match="Feed frame of"):
        p.encode(p.Feed(call=1, data=data + b"\0", rate=16_000))


def test_an_announced_size_over_the_limit_is_refused() -> None:
    with pytest.raises(ProtocolError, match="announces"):
        p.frame_size(p.PREFIX.pack(p.MAX_FRAME_BYTES + 1))
    assert p.frame_size(p.PREFIX.pack(p.MAX_FRAME_BYTES)) == p.MAX_FRAME_BYTES


@given(garbage=st.binary(max_size=200))
def test_garbage_is_a_protocol_error_and_nothing_else(garbage: bytes) -> None:
    for decode in (p.decode_to_worker, p.decode_from_worker):
        try:
            frame = decode(garbage)
        except ProtocolError:
            continue
        assert payload(frame)


@pytest.mark.parametrize("frame", [*TO_WORKER, *FROM_WORKER], ids=lambda frame: type(frame).__name__)
def test_a_frame_that_was_cut_is_a_protocol_error(frame: Any) -> None:
    whole = payload(frame)
    decode = p.decode_to_worker if type(frame) in get_args(p.ToWorker) else p.decode_from_worker
    for size in range(len(whole)):
        with pytest.raises(ProtocolError):
            decode(whole[:size])


def test_a_frame_of_a_newer_minor_with_a_field_more_is_read() -> None:
    newer = msgspec.msgpack.encode(["ping", 7, "a field of 1.1"])
    assert p.decode_to_worker(newer) == p.Ping(number=7)
