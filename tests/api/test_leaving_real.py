"""Callers of Whisper and Piper that leave at any point, over HTTP/1.1 and HTTP/2: the engine is free within its
promise without being replaced, and nothing of theirs is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from api.calling import SPEECH, TRANSCRIPTIONS
from api.leaving import Caller, Http1, Http2, form, json_body
from api.real import ENGINE_S, LONG, ONE, at_work, heard, loaded_by, repeated, said
from api.serving import STARTER, Running

pytestmark = pytest.mark.model

TEXT = LONG[:4000]


@pytest.fixture(scope="module", params=["http1", "http2"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with one engine a model, and the protocol its callers speak."""
    pytest.importorskip("open_speech_starter")
    tls = {"OS_SSL_ENABLED": "true"} if request.param == "http2" else {}
    running = Running(tmp_path_factory.mktemp(request.param), STARTER, {**ONE, **tls})
    yield running
    running.await_quiet()
    running.stop()


@pytest.fixture
def call(server: Running) -> Iterator[Callable[[], Caller]]:
    made: list[Http1 | Http2] = []

    def make() -> Caller:
        made.append(Http2(server) if server.url.startswith("https") else Http1(server))
        return made[-1]

    yield make
    for caller in made:
        caller.leave() if isinstance(caller, Http1) else caller.close()


@pytest.fixture
def whisper(server: Running, short: bytes) -> Iterator[psutil.Process]:
    """The one engine that hears; it must live through the test."""
    yield from _engine(server, lambda: heard(server, short), "whisper-1")


@pytest.fixture
def piper(server: Running) -> Iterator[psutil.Process]:
    """The one engine that speaks; it must live through the test."""
    yield from _engine(server, lambda: said(server), "tts-1")


def _engine(server: Running, work: Callable[[], httpx.Response], model: str) -> Iterator[psutil.Process]:
    server.client.post("/v1/audio/models/unload", json={"model": model})
    engine = loaded_by(server, work, model)
    yield engine
    assert engine.is_running(), "it was asked to stop, and did"


def free_within(server: Running, seconds: float, work: Callable[[], httpx.Response]) -> None:
    """Assert that whoever asks now is served in time, and that nothing of the one before is left."""
    since = time.monotonic()
    assert work().status_code == 200
    assert time.monotonic() - since < seconds
    server.await_quiet(2.0)


def test_leaving_while_sending_a_recording(
    server: Running, call: Callable[[], Caller], whisper: psutil.Process, talk: bytes, short: bytes
) -> None:
    headers, body = form(talk, model="whisper-1")
    caller = call()
    caller.send(TRANSCRIPTIONS, headers, body[: len(body) // 2], of=len(body))
    deadline = time.monotonic() + 10
    while not server.leftovers():
        assert time.monotonic() < deadline, "the upload is on its way"
        time.sleep(0.01)
    caller.leave()
    server.await_quiet(2.0)
    free_within(server, 1.5, lambda: heard(server, short))


def test_leaving_while_sending_a_text(server: Running, call: Callable[[], Caller], piper: psutil.Process) -> None:
    headers, body = json_body({"model": "tts-1", "voice": "alloy", "input": TEXT})
    caller = call()
    caller.send(SPEECH, headers, body[:2000], of=len(body))
    time.sleep(0.1)
    caller.leave()
    free_within(server, 1.5, lambda: said(server))


def test_leaving_while_queued(
    server: Running, call: Callable[[], Caller], whisper: psutil.Process, talk: bytes, short: bytes
) -> None:
    long = repeated(talk, 2)
    since = time.monotonic()
    assert heard(server, long).status_code == 200
    alone_s = time.monotonic() - since
    with ThreadPoolExecutor(1) as callers:
        running = callers.submit(heard, server, long)
        at_work(whisper)
        waiting = [call() for _ in range(3)]
        for caller in waiting:
            caller.send(TRANSCRIPTIONS, *form(long, model="whisper-1"))
        time.sleep(0.5)
        for caller in waiting:
            caller.leave()
        since = time.monotonic()
        assert heard(server, short).status_code == 200
        # Spans take turns: without those who left, the first may have one before ours.
        assert time.monotonic() - since < alone_s + ENGINE_S, "three who left would be three times as long"
        assert running.result().status_code == 200
        assert time.monotonic() - since < alone_s + ENGINE_S
    server.await_quiet(2.0)


def test_leaving_speech_while_queued(server: Running, call: Callable[[], Caller], piper: psutil.Process) -> None:
    first = call()
    first.send(SPEECH, *json_body({"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": "pcm"}))
    at_work(piper)
    waiting = [call() for _ in range(3)]
    for caller in waiting:
        caller.send(SPEECH, *json_body({"model": "tts-1", "voice": "alloy", "input": TEXT}))
    time.sleep(0.3)
    for caller in (*waiting, first):
        caller.leave()
    free_within(server, ENGINE_S, lambda: said(server))


@pytest.mark.parametrize("fields", [{}, {"response_format": "verbose_json"}, {"stream": "true"}])
def test_leaving_while_heard(
    server: Running,
    call: Callable[[], Caller],
    whisper: psutil.Process,
    talk: bytes,
    short: bytes,
    fields: dict[str, str],
) -> None:
    caller = call()
    caller.send(TRANSCRIPTIONS, *form(repeated(talk, 10), model="whisper-1", **fields))
    if fields.get("stream"):
        caller.read_until(b"transcript.text.delta")
    else:
        at_work(whisper)
    caller.leave()
    free_within(server, ENGINE_S, lambda: heard(server, short))


@pytest.mark.parametrize("query", ["", "?stream=false"])
def test_leaving_before_the_first_sound(
    server: Running, call: Callable[[], Caller], piper: psutil.Process, query: str
) -> None:
    caller = call()
    caller.send(SPEECH + query, *json_body({"model": "tts-1", "voice": "alloy", "input": TEXT}))
    at_work(piper, 0.05)
    caller.leave()
    free_within(server, ENGINE_S, lambda: said(server))


@pytest.mark.parametrize(
    ("fields", "mark"),
    [
        ({"response_format": "wav"}, b"RIFF"),
        ({"response_format": "opus"}, b"OggS"),
        ({"response_format": "pcm", "stream_format": "sse"}, b"speech.audio.delta"),
    ],
)
def test_leaving_while_spoken_to(
    server: Running, call: Callable[[], Caller], piper: psutil.Process, fields: dict[str, str], mark: bytes
) -> None:
    caller = call()
    caller.send(SPEECH, *json_body({"model": "tts-1", "voice": "alloy", "input": TEXT, **fields}))
    caller.read_until(mark)
    caller.leave()
    free_within(server, ENGINE_S, lambda: said(server))
