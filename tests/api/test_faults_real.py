"""Real engines killed, stopped or left in the middle of their work: a clear error, and the next request works."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from api.calling import SPEECH, TRANSCRIPTIONS, checked, refused, speak
from api.leaving import Http1, form, json_body
from api.real import ENGINE_S, LONG, ONE, SENTENCE, at_work, computed_s, heard, loaded_by, repeated, said
from api.serving import STARTER, Running, StartServer

pytestmark = pytest.mark.model


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def server(start_server: StartServer) -> Running:
    pytest.importorskip("open_speech_starter")
    return start_server(STARTER, ONE)


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


def test_whisper_killed_in_a_step(server: Running, callers: ThreadPoolExecutor, recording: bytes, short: bytes) -> None:
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
def test_an_engine_is_free_after_its_caller_left(server: Running, recording: bytes, doing: str, short: bytes) -> None:
    again = partial(heard, server, short) if doing == "transcribing" else partial(said, server)
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


def test_a_decoder_killed_in_the_middle(
    server: Running, callers: ThreadPoolExecutor, talk: bytes, short: bytes
) -> None:
    whisper = loaded_by(server, partial(heard, server, short), "whisper-1")
    (decoder,) = (worker for worker in server.workers() if worker.pid != whisper.pid)
    caller = callers.submit(heard, server, repeated(talk, 20))
    at_work(decoder, 0.2)
    os.kill(decoder.pid, signal.SIGKILL)
    since = computed_s(whisper)
    refused(caller.result(), 503, "worker_died")
    assert computed_s(whisper) - since < ENGINE_S, "what was found until then is not recognised first"
    server.await_quiet()
    assert heard(server, talk[:300_000]).status_code == 200
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


def test_a_whisper_that_stands_still(
    start_server: StartServer, recording: bytes, callers: ThreadPoolExecutor, short: bytes
) -> None:
    pytest.importorskip("open_speech_starter")
    server = start_server(STARTER, {**ONE, "OS_STEP_TIMEOUT_S": "3"})
    whisper = loaded_by(server, partial(heard, server, short), "whisper-1")
    caller = callers.submit(heard, server, recording)
    at_work(whisper)
    os.kill(whisper.pid, signal.SIGSTOP)
    refused(caller.result(), 504, "step_timeout")
    assert heard(server, short).status_code == 200
    assert psutil.wait_procs([whisper], timeout=2)[0], "it is gone"


def test_nothing_outlives_a_killed_server(
    tmp_path: Path, recording: bytes, callers: ThreadPoolExecutor, short: bytes
) -> None:
    pytest.importorskip("open_speech_starter")
    server = Running(tmp_path, STARTER, ONE)
    whisper = loaded_by(server, partial(heard, server, short), "whisper-1")
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


@pytest.mark.parametrize("kind", ["whisper", "piper"])
def test_three_deaths_in_a_row_rest_a_real_model(
    server: Running, callers: ThreadPoolExecutor, recording: bytes, kind: str, short: bytes
) -> None:
    hears = kind == "whisper"
    model, other = ("whisper-1", "tts-1") if hears else ("tts-1", "whisper-1")
    work = partial(heard, server, short) if hears else partial(said, server)
    long = partial(heard, server, recording) if hears else partial(said, server, LONG[:4000], query="?stream=false")
    for _ in range(3):
        engine = loaded_by(server, work, model)
        caller = callers.submit(long)
        at_work(engine)
        os.kill(engine.pid, signal.SIGKILL)
        refused(caller.result(), 503, "worker_died")
    response = work()
    assert repr(engine_id(model)) in refused(response, 503, "model_failed")
    assert response.headers["x-should-retry"] == "false"
    assert 1 <= int(response.headers["retry-after"]) <= 30
    states = {each["id"]: each["status"] for each in server.client.get("/v1/audio/models").json()["models"]}
    assert states[engine_id(model)] == "failed"
    load = server.client.post("/v1/audio/models/load", json={"model": other})
    assert load.status_code == 200, "the other model is as good as before"
    assert (said(server) if hears else heard(server, short)).status_code == 200


def engine_id(model: str) -> str:
    return {"whisper-1": "Systran/faster-whisper-tiny.en", "tts-1": "piper/en_US-joe-medium"}[model]


def test_engines_whose_libraries_print_from_c(start_server: StartServer, talk: bytes) -> None:
    pytest.importorskip("open_speech_starter")
    noisy = ("api.plugins_for_tests.noisy", "open_speech_silero", "open_speech_starter")
    server, quiet = start_server(noisy, ONE), start_server(STARTER, ONE)
    assert heard(server, talk).json() == heard(quiet, talk).json()
    streamed = heard(server, talk, stream="true").text
    assert streamed.endswith("data: [DONE]\n\n")
    for text in ("Hello there.", SENTENCE * 3):
        assert said(server, text, response_format="pcm").content == said(quiet, text, response_format="pcm").content


@pytest.mark.parametrize("model", ["whisper-1", "tts-1"])
def test_a_real_engine_that_hangs_in_load(
    start_server: StartServer, callers: ThreadPoolExecutor, short: bytes, model: str
) -> None:
    pytest.importorskip("open_speech_starter")
    server = start_server(STARTER, {**ONE, "OS_LOAD_TIMEOUT_S": "8"})
    works = {"whisper-1": partial(heard, server, short), "tts-1": partial(said, server)}
    work = works.pop(model)
    stuck = callers.submit(server.client.post, "/v1/audio/models/load", json={"model": model})
    while not (workers := server.workers()):
        assert not stuck.done(), stuck.result().text
        time.sleep(0.001)
    (worker,) = workers
    at_work(worker, 0.3)  # of 0.8 s that a load takes, 0.1 of them until its hello
    os.kill(worker.pid, signal.SIGSTOP)
    (other,) = works.values()
    assert other().status_code == 200, "another model does not wait for it"
    assert "loading" in refused(stuck.result(), 504, "step_timeout")
    assert psutil.wait_procs([worker], timeout=2)[0], "it is gone"
    assert work().status_code == 200


def test_broken_plugins_harm_no_real_engine(
    start_server: StartServer, callers: ThreadPoolExecutor, short: bytes
) -> None:
    pytest.importorskip("open_speech_starter")
    names = ("fails_to_import", "misspells_hook", "other_api", "raises_in_hook", "no_load", "load_raises")
    root = Path(__file__).parents[1]
    path = os.pathsep.join([str(root / "core"), str(root)])
    plugins = (*STARTER, *(f"broken_plugins.{name}" for name in names), "api.plugins_for_tests.stuck")
    server = start_server(plugins, {**ONE, "PYTHONPATH": path, "OS_LOAD_TIMEOUT_S": "5"})
    stuck = callers.submit(heard, server, short, model="hangs")
    assert heard(server, short).status_code == 200
    assert said(server).status_code == 200
    refused(stuck.result(), 504, "step_timeout")
    for name in ("fails_to_import", "misspells_hook", "other_api", "raises_in_hook"):
        assert name in server.log(), "the operator is told of each by its name"


def test_weights_that_are_none(start_server: StartServer, tmp_path: Path, short: bytes) -> None:
    pytest.importorskip("open_speech_starter")
    folder, voices = tmp_path / "own" / "broken", tmp_path / "0" / "data" / "models" / "piper"
    folder.mkdir(parents=True)
    for name in ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt"):
        (folder / name).write_bytes(b"{}" if name.endswith("json") else b"garbage")
    server = start_server(STARTER, {**ONE, "STT_MODEL_DIR": str(folder.parent)})
    voices.mkdir(parents=True, exist_ok=True)
    (voices / "en_US-broken-medium.onnx").write_bytes(b"garbage")
    (voices / "en_US-broken-medium.onnx.json").write_text('{"audio": {"sample_rate": 22050}}')
    for response in (
        heard(server, short, model="broken"),
        speak(server, model="piper/en_US-broken-medium", voice="en_US-broken-medium"),
    ):
        refused(response, 500, "load_failed")
        assert response.headers["x-should-retry"] == "false"
    assert heard(server, short).status_code == 200
    assert said(server).status_code == 200


def test_a_stop_lets_real_work_finish(tmp_path: Path, callers: ThreadPoolExecutor) -> None:
    pytest.importorskip("open_speech_starter")
    server = Running(tmp_path, STARTER, ONE)
    piper = loaded_by(server, partial(said, server), "tts-1")
    right = said(server, SENTENCE * 8, response_format="pcm").content
    caller = callers.submit(said, server, SENTENCE * 8, response_format="pcm")
    at_work(piper, 0.1)
    since = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert caller.result().content == right, "not a byte is missing"
    server.process.wait(10)
    assert time.monotonic() - since < 10
    assert server.process.returncode == 0
    server.stop()
    assert not server.leftovers()
