"""Real engines killed, stopped or left in the middle of their work: a clear error, and the next request works."""

from __future__ import annotations

import io
import os
import signal
import time
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from api.calling import SPEECH, TRANSCRIPTIONS, checked, refused, speak, tone, transcribe
from api.leaving import Http1, form, json_body
from api.serving import STARTER, Running, StartServer

pytestmark = pytest.mark.model

ONE = {"OS_CORES": "1", "PIPER_NOISE_SCALE": "0", "PIPER_NOISE_W_SCALE": "0"}
"""One replica a model, and the same sound for the same text."""
SENTENCE = "The quick brown fox jumps over the lazy dog. "
LONG = SENTENCE * 80
"""More than four minutes of speech; Piper takes ten seconds for it."""
ENGINE_S = 5.0
"""Longest time until a left engine is free: Whisper promises two seconds, and a replica is killed past twice that."""


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def server(start_server: StartServer) -> Running:
    pytest.importorskip("open_speech_starter")
    return start_server(STARTER, ONE)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bytes]:
    """A minute of speech that Whisper needs seconds for, as WAV."""
    pytest.importorskip("open_speech_starter")
    server = Running(tmp_path_factory.mktemp("voice"), STARTER, ONE)
    yield said(server, SENTENCE * 20, response_format="wav").content
    server.stop()


def heard(server: Running, file: bytes, **fields: Any) -> httpx.Response:
    return transcribe(server, file, model="whisper-1", **fields)


def said(server: Running, text: str = "Hello there.", **fields: Any) -> httpx.Response:
    return speak(server, text, model="tts-1", voice="alloy", **fields)


def loaded_by(server: Running, work: Callable[[], httpx.Response], model: str) -> psutil.Process:
    """Do ``work`` once and give the worker that was loaded for ``model`` before it."""
    before = {worker.pid for worker in server.workers()}
    load = server.client.post("/v1/audio/models/load", json={"model": model})
    assert load.status_code == 200, load.text
    (engine,) = (worker for worker in server.workers() if worker.pid not in before)
    assert work().status_code == 200
    return engine


def at_work(process: psutil.Process, seconds: float = 0.3, within_s: float = 20.0) -> None:
    """Wait until a process has computed for so long from now on: it is truly in the middle of a step."""
    since, deadline = sum(process.cpu_times()[:2]), time.monotonic() + within_s
    while sum(process.cpu_times()[:2]) - since < seconds:
        assert time.monotonic() < deadline, "it does no work"
        time.sleep(0.01)


def footprint(server: Running) -> tuple[int, int]:
    """Give the server's own descriptors and threads."""
    process = psutil.Process(server.process.pid)
    return process.num_fds(), process.num_threads()


def grown_no_more(server: Running, before: tuple[int, int]) -> None:
    deadline = time.monotonic() + 5
    while True:
        descriptors, threads = footprint(server)
        if descriptors <= before[0] + 1 and threads <= before[1] + 4:
            return
        assert time.monotonic() < deadline, (before, descriptors, threads)
        time.sleep(0.05)


def test_whisper_killed_in_a_step(server: Running, callers: ThreadPoolExecutor, recording: bytes) -> None:
    short = said(server, response_format="wav").content
    whisper = loaded_by(server, partial(heard, server, short), "whisper-1")
    before, right = footprint(server), heard(server, short).json()["text"]
    caller = callers.submit(heard, server, recording)
    at_work(whisper)
    os.kill(whisper.pid, signal.SIGKILL)
    assert "try again" in refused(caller.result(), 503, "worker_died")
    server.await_quiet()
    assert heard(server, short).json()["text"] == right
    grown_no_more(server, before)


def test_piper_killed_in_a_step(server: Running, callers: ThreadPoolExecutor) -> None:
    piper = loaded_by(server, partial(said, server), "tts-1")
    before, right = footprint(server), said(server, response_format="pcm").content
    caller = callers.submit(said, server, LONG[:4000], query="?stream=false", response_format="wav")
    at_work(piper)
    os.kill(piper.pid, signal.SIGKILL)
    refused(caller.result(), 503, "worker_died")
    assert said(server, response_format="pcm").content == right
    grown_no_more(server, before)


def test_a_stream_of_piper_is_cut_and_not_ended(server: Running) -> None:
    piper = loaded_by(server, partial(said, server), "tts-1")
    body = {"model": "tts-1", "voice": "alloy", "input": LONG[:4000], "response_format": "pcm"}
    with server.client.stream("POST", SPEECH, json=body) as answer:
        chunks = answer.iter_raw()
        assert next(chunks)
        os.kill(piper.pid, signal.SIGKILL)
        with pytest.raises(httpx.RemoteProtocolError):
            list(chunks)
    assert said(server).status_code == 200


@pytest.mark.parametrize("doing", ["transcribing", "speaking"])
def test_an_engine_is_free_after_its_caller_left(server: Running, recording: bytes, doing: str) -> None:
    short = said(server, response_format="wav").content
    again = partial(heard, server, short) if doing == "transcribing" else partial(said, server)
    server.client.post("/v1/audio/models/unload", json={"model": "tts-1"})
    engine = loaded_by(server, again, "whisper-1" if doing == "transcribing" else "tts-1")
    caller = Http1(server)
    if doing == "transcribing":
        caller.send(TRANSCRIPTIONS, *form(recording, model="whisper-1"))
    else:
        caller.send(SPEECH, *json_body({"model": "tts-1", "voice": "alloy", "input": LONG[:4000]}))
    at_work(engine)
    caller.leave()
    since = time.monotonic()
    assert again().status_code == 200
    assert time.monotonic() - since < ENGINE_S
    assert engine.is_running(), "it was asked to stop, and did"
    server.await_quiet()


def test_a_decoder_killed_in_the_middle(server: Running, callers: ThreadPoolExecutor, recording: bytes) -> None:
    whisper = loaded_by(server, partial(heard, server, tone(1.0)), "whisper-1")
    (decoder,) = (worker for worker in server.workers() if worker.pid != whisper.pid)
    caller = callers.submit(heard, server, _long_wav(recording, 20))
    at_work(decoder, 0.2)
    os.kill(decoder.pid, signal.SIGKILL)
    since = time.monotonic()
    refused(caller.result(), 503, "worker_died")
    assert time.monotonic() - since < ENGINE_S, "what was found until then is not recognised first"
    server.await_quiet()
    assert heard(server, recording[:300_000]).status_code == 200
    assert whisper.is_running(), "the engine had no part in it"


def test_an_encoder_killed_in_the_middle(server: Running, callers: ThreadPoolExecutor) -> None:
    piper = loaded_by(server, partial(said, server), "tts-1")
    (encoder,) = (worker for worker in server.workers() if worker.pid != piper.pid)
    caller = callers.submit(said, server, LONG[:4000], query="?stream=false", response_format="mp3")
    at_work(piper)
    os.kill(encoder.pid, signal.SIGKILL)
    refused(caller.result(), 503, "worker_died")
    assert said(server).status_code == 200
    assert piper.is_running(), "the engine had no part in it"


def test_a_whisper_that_stands_still(start_server: StartServer, recording: bytes, callers: ThreadPoolExecutor) -> None:
    pytest.importorskip("open_speech_starter")
    server = start_server(STARTER, {**ONE, "OS_STEP_TIMEOUT_S": "3"})
    whisper = loaded_by(server, partial(heard, server, tone(1.0)), "whisper-1")
    caller = callers.submit(heard, server, recording)
    at_work(whisper)
    os.kill(whisper.pid, signal.SIGSTOP)
    refused(caller.result(), 504, "step_timeout")
    assert heard(server, tone(1.0)).status_code == 200
    assert psutil.wait_procs([whisper], timeout=2)[0], "it is gone"


def test_nothing_outlives_a_killed_server(tmp_path: Path, recording: bytes, callers: ThreadPoolExecutor) -> None:
    pytest.importorskip("open_speech_starter")
    server = Running(tmp_path, STARTER, ONE)
    whisper = loaded_by(server, partial(heard, server, tone(1.0)), "whisper-1")
    piper = loaded_by(server, partial(said, server), "tts-1")
    calls: list[Future[httpx.Response]] = [
        callers.submit(heard, server, recording),
        callers.submit(said, server, LONG[:4000], response_format="wav"),
    ]
    at_work(whisper)
    at_work(piper)
    workers = server.workers()
    assert len(workers) >= 4
    server.process.kill()
    server.process.wait()
    _, alive = psutil.wait_procs(workers, timeout=2)
    assert not alive
    for call in calls:
        with pytest.raises(httpx.TransportError):
            checked(call.result())
    server.client.close()


def _long_wav(recording: bytes, times: int) -> bytes:
    """Repeat a recording's samples."""
    with wave.open(io.BytesIO(recording)) as reader:
        parameters, frames = reader.getparams(), reader.readframes(reader.getnframes())
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        # A streamed header gives no true length.
        writer.setparams(parameters._replace(nframes=0))
        writer.writeframes(frames * times)
    return file.getvalue()
