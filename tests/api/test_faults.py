"""What becomes of everybody else when a caller leaves, a worker dies, or the server is told to stop."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from api.calling import SPEECH, TRANSCRIPTIONS, checked, events, refused, silent_flac, speak, tone, transcribe
from api.leaving import Caller, Http1, Http2, form, json_body
from api.serving import ECHO, Running, StartServer
from open_speech_core.types import CANCEL_S

ONE = {"OS_CORES": "1"}
"""One replica a model, so that a second caller waits."""
MARGIN_S = 1.5
"""What a busy machine may add to a time that is promised."""


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


@pytest.fixture(scope="module", params=["http1", "http2"])
def single(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with one engine a model, and the protocol its callers speak."""
    tls = {"OS_SSL_ENABLED": "true"} if request.param == "http2" else {}
    server = Running(tmp_path_factory.mktemp(request.param), environ={**ONE, **tls})
    transcribe(server)
    speak(server)
    yield server
    server.await_quiet()
    server.stop()


@pytest.fixture
def call(single: Running) -> Iterator[Callable[[], Caller]]:
    made: list[Http1 | Http2] = []

    def make() -> Caller:
        made.append(Http2(single) if single.url.startswith("https") else Http1(single))
        return made[-1]

    yield make
    for caller in made:
        caller.leave() if isinstance(caller, Http1) else caller.close()


def await_until(true: Callable[[], Any], within_s: float = 10.0, what: str = "") -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, what or "it did not come true"
        time.sleep(0.02)


def timed(work: Callable[[], httpx.Response]) -> float:
    since = time.monotonic()
    assert work().status_code == 200
    return time.monotonic() - since


def engine_of(server: Running, model: str = "echo") -> psutil.Process:
    """Load a model and give its worker, which is the one that came; media workers of its kind run then, too."""
    before = {worker.pid for worker in server.workers()}
    assert server.client.post("/v1/audio/models/load", json={"model": model}).status_code == 200
    (worker,) = (worker for worker in server.workers() if worker.pid not in before)
    assert (speak(server) if model == "echo-voice" else transcribe(server, model=model)).status_code == 200
    return worker


def status(server: Running, model: str = "echo") -> str:
    models = server.client.get("/v1/audio/models").json()["models"]
    return str(next(each["status"] for each in models if each["id"] == model))


# Callers that leave


def test_leaving_while_sending(single: Running, call: Callable[[], Caller]) -> None:
    headers, body = form(tone(60.0))
    caller = call()
    caller.send(TRANSCRIPTIONS, headers, body[: len(body) // 2], of=len(body))
    await_until(single.leftovers, what="the upload is on its way")
    caller.leave()
    single.await_quiet(2.0)
    assert timed(lambda: transcribe(single)) < MARGIN_S


def test_leaving_while_sending_json(single: Running, call: Callable[[], Caller]) -> None:
    headers, body = json_body({"input": "x" * 4000})
    caller = call()
    caller.send(SPEECH, headers, body[:2000], of=len(body))
    time.sleep(0.1)
    caller.leave()
    assert timed(lambda: speak(single)) < MARGIN_S


def test_leaving_while_queued(single: Running, call: Callable[[], Caller], callers: ThreadPoolExecutor) -> None:
    running = callers.submit(transcribe, single, step_ms="400")  # four items: 1.6 s
    time.sleep(0.3)
    waiting = [call() for _ in range(3)]
    for caller in waiting:
        caller.send(TRANSCRIPTIONS, *form(tone(3.0), model="echo", step_ms="1000"))
    time.sleep(0.4)
    for caller in waiting:
        caller.leave()
    since = time.monotonic()
    assert transcribe(single).status_code == 200
    assert time.monotonic() - since < 1.6 + MARGIN_S, "those who left took no turn: theirs are 4 s each"
    assert running.result().status_code == 200


def test_leaving_while_transcribed(single: Running, call: Callable[[], Caller]) -> None:
    caller = call()
    caller.send(TRANSCRIPTIONS, *form(tone(20.0), model="echo", step_ms="500"))  # 21 items: 10 s
    time.sleep(0.7)
    caller.leave()
    assert timed(lambda: transcribe(single)) < 0.5 + MARGIN_S
    single.await_quiet(2.0)


def test_leaving_a_stream_of_text(single: Running, call: Callable[[], Caller]) -> None:
    caller = call()
    caller.send(TRANSCRIPTIONS, *form(tone(20.0), model="echo", step_ms="500", stream="true"))
    caller.read_until(b'"delta":"one"')
    caller.leave()
    assert timed(lambda: transcribe(single)) < 0.5 + MARGIN_S
    single.await_quiet(2.0)


@pytest.mark.parametrize("fields", [{}, {"stream_format": "sse"}])
def test_leaving_a_stream_of_speech(single: Running, call: Callable[[], Caller], fields: dict[str, str]) -> None:
    caller = call()
    text = {"model": "echo-voice", "input": "x" * 100, "voice": "sine", "response_format": "wav", "step_ms": 500}
    caller.send(SPEECH, *json_body({**text, **fields}))  # 25 items: 12 s
    caller.read_until(b"RIFF" if not fields else b"speech.audio.delta")
    caller.leave()
    assert timed(lambda: speak(single)) < 0.5 + MARGIN_S


def test_leaving_before_the_first_bytes_of_speech(single: Running, call: Callable[[], Caller]) -> None:
    for query in ("", "?stream=false"):
        caller = call()
        body = {"model": "echo-voice", "input": "x" * 100, "voice": "sine", "response_format": "pcm", "step_ms": 500}
        caller.send(SPEECH + query, *json_body(body))
        time.sleep(0.2)
        caller.leave()
        assert timed(lambda: speak(single)) < 0.5 + MARGIN_S


def test_leaving_while_decoded(single: Running, call: Callable[[], Caller]) -> None:
    caller = call()
    caller.send(TRANSCRIPTIONS, *form(silent_flac(8 * 3600), model="echo"))
    await_until(lambda: any("decoded" in name for name in single.leftovers()))
    caller.leave()
    single.await_quiet(3.0)
    assert timed(lambda: transcribe(single)) < MARGIN_S


# Workers that die


def test_a_killed_engine_fails_its_caller_alone(start_server: StartServer, callers: ThreadPoolExecutor) -> None:
    server = start_server(environ=ONE)
    worker = engine_of(server)
    caller = callers.submit(transcribe, server, step_ms="3000")
    beside = callers.submit(transcribe, server, model="echo-slow")
    time.sleep(1.0)
    os.kill(worker.pid, signal.SIGKILL)
    since = time.monotonic()
    message = refused(caller.result(), 503, "worker_died")
    assert time.monotonic() - since < MARGIN_S
    assert "try again" in message
    assert caller.result().headers.get("x-should-retry") != "false"
    assert beside.result().status_code == 200
    assert transcribe(server).json() == {"text": "one two three"}


def test_a_killed_engine_ends_a_stream_with_an_error(start_server: StartServer, callers: ThreadPoolExecutor) -> None:
    server = start_server(environ=ONE)
    worker = engine_of(server)
    caller = callers.submit(transcribe, server, tone(8.0), step_ms="300", stream="true")
    time.sleep(1.2)
    os.kill(worker.pid, signal.SIGKILL)
    *deltas, last = events(caller.result().text)
    assert deltas[0]["delta"] == "one"
    assert last["error"]["code"] == "worker_died"


def test_who_waits_is_served_by_the_next_engine(start_server: StartServer, callers: ThreadPoolExecutor) -> None:
    server = start_server(environ=ONE)
    worker = engine_of(server)
    first = callers.submit(transcribe, server, step_ms="2000")
    time.sleep(0.5)
    waiting = callers.submit(transcribe, server)
    time.sleep(0.3)
    os.kill(worker.pid, signal.SIGKILL)
    refused(first.result(), 503, "worker_died")
    assert waiting.result().json() == {"text": "one two three"}


def test_a_call_beside_the_culprit_is_done_again(start_server: StartServer, callers: ThreadPoolExecutor) -> None:
    server = start_server(environ={**ONE, "ECHO_MAX_CONCURRENCY": "2"})
    engine_of(server)
    beside = callers.submit(transcribe, server, step_ms="1500")
    time.sleep(0.4)
    culprit = transcribe(server, fail="exit", step_ms="300")
    refused(culprit, 503, "worker_died")
    assert beside.result().json() == {"text": "one two three"}


def test_a_killed_decoder(start_server: StartServer, callers: ThreadPoolExecutor) -> None:
    server = start_server(environ=ONE)
    engine = engine_of(server)
    caller = callers.submit(transcribe, server, silent_flac(8 * 3600))
    await_until(lambda: any("decoded" in name for name in server.leftovers()))
    (decoder,) = (worker for worker in server.workers() if worker.pid != engine.pid)
    os.kill(decoder.pid, signal.SIGKILL)
    refused(caller.result(), 503, "worker_died")
    server.await_quiet()
    assert transcribe(server).json() == {"text": "one two three"}
    assert psutil.pid_exists(engine.pid), "the engine had no part in it"


def test_a_killed_encoder(start_server: StartServer, callers: ThreadPoolExecutor) -> None:
    server = start_server(environ=ONE)
    engine = engine_of(server, "echo-voice")

    def encoder() -> psutil.Process:
        await_until(lambda: len(server.workers()) == 2)
        (found,) = (worker for worker in server.workers() if worker.pid != engine.pid)
        return found

    whole = callers.submit(speak, server, "x" * 50, query="?stream=false", step_ms=200, response_format="pcm")
    time.sleep(0.8)
    os.kill(encoder().pid, signal.SIGKILL)
    refused(whole.result(), 503, "worker_died")
    assert speak(server).status_code == 200
    sse = callers.submit(speak, server, "x" * 50, stream_format="sse", step_ms=200, response_format="pcm")
    time.sleep(0.8)
    os.kill(encoder().pid, signal.SIGKILL)
    *deltas, last = events(sse.result().text)
    assert deltas
    assert last["error"]["code"] == "worker_died"
    assert speak(server).status_code == 200
    assert psutil.pid_exists(engine.pid)


@pytest.mark.parametrize("fault", ["exit", "segfault"])
def test_three_deaths_in_a_row_rest_the_model(start_server: StartServer, fault: str) -> None:
    server = start_server(environ=ONE)
    for _ in range(3):
        refused(transcribe(server, fail=fault), 503, "worker_died")
    response = transcribe(server)
    message = refused(response, 503, "model_failed")
    assert "'echo'" in message
    assert response.headers["x-should-retry"] == "false"
    assert 1 <= int(response.headers["retry-after"]) <= 30
    assert status(server) == "failed"
    load = checked(server.client.post("/v1/audio/models/load", json={"model": "echo"}))
    refused(load, 503, "model_failed")
    assert transcribe(server, model="echo-slow").json() == {"text": "one two three"}
    assert speak(server).status_code == 200
    assert server.client.get("/health").status_code == 200


def test_an_error_of_an_engine_is_no_death(start_server: StartServer) -> None:
    server = start_server(environ=ONE)
    worker = engine_of(server)
    for _ in range(5):
        message = refused(transcribe(server, fail="raise"), 500, "engine_error")
        assert "RuntimeError" in message
        assert "private" not in message
        assert "secret" not in message
    assert transcribe(server).status_code == 200
    assert psutil.pid_exists(worker.pid)


def test_a_worker_that_prints_from_c(start_server: StartServer) -> None:
    server = start_server(environ=ONE)
    for _ in range(3):
        assert transcribe(server, fail="print").json() == {"text": "one two three"}
        assert speak(server, fail="print").status_code == 200


@pytest.mark.parametrize("fault", ["hang", "freeze"])
def test_a_step_without_end(start_server: StartServer, fault: str) -> None:
    server = start_server(environ={**ONE, "OS_STEP_TIMEOUT_S": "1"})
    worker = engine_of(server)
    since = time.monotonic()
    response = transcribe(server, fail=fault)
    assert "1 s" in refused(response, 504, "step_timeout")
    assert response.headers["x-should-retry"] == "false"
    assert time.monotonic() - since < 1 + MARGIN_S
    await_until(lambda: not psutil.pid_exists(worker.pid), 1.0, "it is killed though nobody waits")
    assert transcribe(server).json() == {"text": "one two three"}


def test_who_waits_behind_a_step_without_end_is_served(start_server: StartServer, callers: ThreadPoolExecutor) -> None:
    server = start_server(environ={**ONE, "OS_STEP_TIMEOUT_S": "1"})
    engine_of(server)
    stuck = callers.submit(transcribe, server, fail="hang")
    time.sleep(0.3)
    assert timed(lambda: transcribe(server)) < 1 + MARGIN_S
    refused(stuck.result(), 504, "step_timeout")


@pytest.mark.parametrize("fault", ["hang", "freeze"])
def test_an_engine_that_does_not_stop_is_replaced(start_server: StartServer, fault: str) -> None:
    server = start_server(environ=ONE)
    worker = engine_of(server)
    caller = Http1(server)
    caller.send(TRANSCRIPTIONS, *form(tone(3.0), model="echo", fail=fault))
    time.sleep(0.5)
    caller.leave()
    time.sleep(2 * CANCEL_S + 0.5)
    assert psutil.pid_exists(worker.pid), "nobody waits: it may still come to its senses"
    # Twice what it promises has passed.
    assert timed(lambda: transcribe(server)) < 1.0 + MARGIN_S
    assert not psutil.pid_exists(worker.pid)


def test_an_engine_may_take_as_long_to_stop_as_its_steps_were(start_server: StartServer) -> None:
    """A slow machine, or a large model: its steps are no fault."""
    server = start_server(environ=ONE)
    worker = engine_of(server)
    assert transcribe(server, tone(1.0), step_ms="1400").status_code == 200
    caller = Http1(server)
    caller.send(TRANSCRIPTIONS, *form(tone(3.0), model="echo", step_ms="2500"))
    time.sleep(0.2)
    caller.leave()
    assert timed(lambda: transcribe(server)) > 2 * CANCEL_S
    assert psutil.pid_exists(worker.pid)


# Loads that fail


@pytest.mark.parametrize(
    ("fault", "status_code", "code"),
    [
        ("raise", 500, "load_failed"),
        ("exit", 503, "worker_died"),
        ("segfault", 503, "worker_died"),
        ("hang", 504, "step_timeout"),
        ("freeze", 504, "step_timeout"),
    ],
)
def test_a_load_that_fails(start_server: StartServer, fault: str, status_code: int, code: str) -> None:
    server = start_server(
        environ={**ONE, "ECHO_LOAD_FAIL": fault, "OS_LOAD_TIMEOUT_S": "1", "STT_VAD_ENABLED": "false"}
    )
    message = refused(transcribe(server), status_code, code)
    assert "private" not in message
    load = checked(server.client.post("/v1/audio/models/load", json={"model": "echo"}))
    refused(load, status_code, code)
    server.await_quiet()
    assert status(server) in ("not_loaded", "failed")
    assert server.client.get("/health").status_code == 200
    await_until(lambda: len(server.workers()) <= 1, what="a worker that failed to load is gone")


def test_a_load_that_printed_is_fine(start_server: StartServer) -> None:
    server = start_server(environ={"ECHO_LOAD_FAIL": "print"})
    assert transcribe(server).json() == {"text": "one two three"}


def test_broken_plugins_harm_nobody(start_server: StartServer) -> None:
    names = (
        "fails_to_import", "misspells_hook", "other_api", "raises_in_hook", "exits_at_import", "prints_at_import",
        "no_load", "load_raises", "resolve_raises", "takes_route_field", "shouts_its_name",
    )  # fmt: skip
    core = str(Path(__file__).parents[1] / "core")
    path = os.pathsep.join([core, str(Path(__file__).parents[1])])
    broken = tuple(f"broken_plugins.{name}" for name in names)
    server = start_server(("open_speech_echo", *broken, "api.plugins_for_tests.stuck"), {"PYTHONPATH": path, **ONE})
    assert transcribe(server).json() == {"text": "one two three"}
    assert speak(server).status_code == 200
    assert server.client.get("/v1/models").status_code == 200
    assert server.client.get("/openapi.json").status_code == 200
    assert server.client.get("/health/ready").status_code == 200
    response = transcribe(server, model="nothing-such/model")
    refused(response, 404, "model_not_found", "model")
    response = transcribe(server, model="broken:echo")
    assert response.status_code in (200, 404, 500), response.text
    checked(response)


@pytest.mark.parametrize("model", ["hangs", "freezes"])
def test_a_plugin_that_hangs_in_load_holds_nobody_up(
    start_server: StartServer, callers: ThreadPoolExecutor, model: str
) -> None:
    server = start_server(("open_speech_echo", "api.plugins_for_tests.stuck"), {**ONE, "OS_LOAD_TIMEOUT_S": "2"})
    stuck = callers.submit(transcribe, server, model=model)
    time.sleep(0.5)
    assert status(server, model) == "loading"
    assert timed(lambda: transcribe(server)) < MARGIN_S
    assert server.client.get("/health").status_code == 200
    refused(stuck.result(), 504, "step_timeout")


def test_leaving_during_a_load_leaves_the_load(start_server: StartServer) -> None:
    server = start_server(environ={**ONE, "ECHO_LOAD_DELAY_S": "1"})
    caller = Http1(server)
    caller.send(TRANSCRIPTIONS, *form(tone(3.0), model="echo"))
    await_until(lambda: status(server) == "loading")
    caller.leave()
    server.await_quiet(2.0)
    await_until(lambda: status(server) == "loaded")
    assert transcribe(server).json() == {"text": "one two three"}


# The server's own end


def test_a_killed_server_takes_everything_with_it(tmp_path: Path, callers: ThreadPoolExecutor) -> None:
    server = Running(tmp_path, environ=ONE)
    work: list[Future[Any]] = [
        callers.submit(transcribe, server, step_ms="5000"),
        callers.submit(speak, server, "x" * 50),
    ]
    work.append(callers.submit(transcribe, server, model="echo-slow", fail="freeze"))
    time.sleep(1.0)
    workers = server.workers()
    assert len(workers) >= 4
    assert server.leftovers()
    server.process.kill()
    _, alive = psutil.wait_procs(workers, timeout=2)
    assert not alive
    for each in work:
        if each.exception(10) is None:
            assert each.result().status_code == 200
    server.stop()
    again = Running(tmp_path, environ=ONE)
    assert not again.leftovers(), "what a killed server left is cleared away"
    assert transcribe(again).json() == {"text": "one two three"}
    again.await_quiet()
    again.stop()


def test_a_stop_lets_running_requests_finish(tmp_path: Path, callers: ThreadPoolExecutor) -> None:
    server = Running(tmp_path, environ=ONE)
    transcribe(server)
    speak(server)
    text = callers.submit(transcribe, server, step_ms="600")  # 2.4 s
    stream = callers.submit(transcribe, server, model="echo-slow", step_ms="600", stream="true")
    audio = callers.submit(speak, server, "x" * 30, response_format="pcm", step_ms=200)
    time.sleep(0.8)
    since = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.4)
    try:
        late = httpx.post(server.url + SPEECH, json={"input": "late"}, trust_env=False, timeout=5)
    except httpx.TransportError:
        pass
    else:
        refused(late, 503, "shutting_down")
    assert text.result().json() == {"text": "one two three"}
    assert events(stream.result().text)[-1] is None
    assert len(audio.result().content) == 2 * 24_000 * 1.8
    server.process.wait(10)
    assert time.monotonic() - since < 10
    assert server.process.returncode == 0
    server.stop()
    assert not server.leftovers()


def test_a_stop_does_not_wait_for_ever(tmp_path: Path, callers: ThreadPoolExecutor) -> None:
    server = Running(tmp_path, environ={**ONE, "OS_DRAIN_S": "1"})
    stuck = callers.submit(transcribe, server, fail="hang")
    frozen = callers.submit(transcribe, server, model="echo-slow", fail="freeze")
    time.sleep(1.0)
    assert server.stop(within_s=6) < 5
    for caller in (stuck, frozen):
        if caller.exception(5) is None:
            refused(caller.result(), 503, "shutting_down")
    assert not server.leftovers()


def test_an_interrupt_is_a_stop(tmp_path: Path) -> None:
    server = Running(tmp_path)
    transcribe(server)
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(10) == 0
    server.stop()


def test_workers_outlive_an_interrupt_of_the_terminal(start_server: StartServer) -> None:
    server = start_server(environ=ONE)
    worker = engine_of(server)
    os.kill(worker.pid, signal.SIGINT)
    time.sleep(0.2)
    assert transcribe(server).status_code == 200
    assert psutil.pid_exists(worker.pid)


# The queue


def test_a_full_house_says_when_to_come_back(start_server: StartServer, callers: ThreadPoolExecutor) -> None:
    server = start_server(environ={**ONE, "OS_QUEUE_MAX": "1"})
    engine_of(server)
    first = callers.submit(transcribe, server, step_ms="500")
    time.sleep(0.3)
    second = callers.submit(transcribe, server)
    time.sleep(0.3)
    since = time.monotonic()
    response = transcribe(server, tone(600.0))
    assert time.monotonic() - since < MARGIN_S, "refused before the work, not after"
    refused(response, 503, "queue_full")
    assert int(response.headers["retry-after"]) >= 1
    assert response.headers.get("x-should-retry") != "false"
    assert transcribe(server, model="echo-slow").status_code == 200, "another model has its own queue"
    assert [first.result().status_code, second.result().status_code] == [200, 200]


def test_nobody_waits_longer_than_allowed(start_server: StartServer, callers: ThreadPoolExecutor) -> None:
    server = start_server(environ={**ONE, "OS_QUEUE_WAIT_S": "0.5"})
    engine_of(server)
    first = callers.submit(transcribe, server, step_ms="800")
    time.sleep(0.3)
    since = time.monotonic()
    response = transcribe(server)
    assert "0.5 s" in refused(response, 503, "queue_full")
    assert 0.4 < time.monotonic() - since < 0.5 + MARGIN_S
    assert int(response.headers["retry-after"]) >= 1
    assert first.result().status_code == 200


def test_a_busy_key_does_not_hold_another_up(start_server: StartServer) -> None:
    server = start_server(environ={**ONE, "OS_API_KEY": "busy,calm"})
    done: list[str] = []

    def ask(key: str) -> None:
        response = transcribe(server, headers={"authorization": f"Bearer {key}"}, step_ms="100")
        assert response.status_code == 200
        done.append(key)

    warm = threading.Thread(target=ask, args=("busy",))
    warm.start()
    warm.join()
    threads = [threading.Thread(target=ask, args=("busy",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    threads.append(threading.Thread(target=ask, args=("calm",)))
    threads[-1].start()
    for thread in threads:
        thread.join()
    assert done.index("calm") <= 3, done


def test_first_requests_load_once(start_server: StartServer, callers: ThreadPoolExecutor) -> None:
    server = start_server(environ={**ONE, "ECHO_LOAD_DELAY_S": "0.5"})
    seen: set[int] = set()
    work = [callers.submit(transcribe, server) for _ in range(6)]
    while not all(each.done() for each in work):
        seen |= {worker.pid for worker in server.workers()}
        time.sleep(0.01)
    assert all(each.result().json() == {"text": "one two three"} for each in work)
    assert len(seen) == 2, "one engine and one decoder"


def test_replicas_serve_side_by_side(start_server: StartServer, callers: ThreadPoolExecutor) -> None:
    server = start_server(environ={"OS_CORES": "2"})
    for each in [callers.submit(transcribe, server, step_ms="300") for _ in range(2)]:
        each.result()
    since = time.monotonic()
    for each in [callers.submit(transcribe, server, step_ms="300") for _ in range(2)]:
        assert each.result().status_code == 200
    assert time.monotonic() - since < 2.1, "one after the other takes 2.4 s"


# Models that come and go


def test_idle_workers_end(start_server: StartServer) -> None:
    server = start_server(environ={"OS_MODEL_TTL": "1"})
    transcribe(server)
    speak(server)
    assert len(server.workers()) == 4
    await_until(lambda: not server.workers(), within_s=6)
    assert status(server) == "not_loaded"
    assert server.client.get("/health").json()["models_loaded"] == 0
    assert transcribe(server).json() == {"text": "one two three"}


def test_a_busy_model_does_not_expire(start_server: StartServer) -> None:
    server = start_server(environ={"OS_MODEL_TTL": "1"})
    response = transcribe(server, step_ms="1000")
    assert response.json() == {"text": "one two three"}


def test_the_longest_unused_makes_room(start_server: StartServer) -> None:
    server = start_server(environ={**ONE, "OS_MAX_LOADED_MODELS": "1"})
    for model in ("echo", "echo-slow", "echo"):
        assert transcribe(server, model=model).status_code == 200
        loaded = [
            each["id"] for each in server.client.get("/v1/audio/models").json()["models"] if each["status"] == "loaded"
        ]
        assert loaded == [model]
    assert speak(server).status_code == 200
    assert status(server) == "not_loaded"


def test_a_busy_model_is_not_evicted(start_server: StartServer, callers: ThreadPoolExecutor) -> None:
    server = start_server(environ={**ONE, "OS_MAX_LOADED_MODELS": "1"})
    worker = engine_of(server)
    busy = callers.submit(transcribe, server, step_ms="400")
    time.sleep(0.4)
    other = callers.submit(transcribe, server, model="echo-slow")
    time.sleep(0.4)
    assert psutil.pid_exists(worker.pid)
    assert busy.result().json() == {"text": "one two three"}
    assert other.result().json() == {"text": "one two three"}
    assert not psutil.pid_exists(worker.pid)
    assert status(server, "echo-slow") == "loaded"


def test_no_room_in_time_is_said(start_server: StartServer, callers: ThreadPoolExecutor) -> None:
    server = start_server(environ={**ONE, "OS_MAX_LOADED_MODELS": "1", "OS_QUEUE_WAIT_S": "0.5"})
    engine_of(server)
    busy = callers.submit(transcribe, server, step_ms="800")
    time.sleep(0.3)
    response = transcribe(server, model="echo-slow")
    refused(response, 503, "unavailable")
    assert int(response.headers["retry-after"]) >= 1
    assert busy.result().status_code == 200


# Inline


def test_inline_serves_the_same_without_processes(start_server: StartServer, echo_server: Running) -> None:
    server = start_server(environ={"OS_PLACEMENT": "inline"})
    for fields in ({}, {"response_format": "verbose_json"}, {"response_format": "srt"}, {"stream": "true"}):
        assert transcribe(server, tone(5.0), **fields).text == transcribe(echo_server, tone(5.0), **fields).text
    for format in ("pcm", "wav", "flac", "opus", "mp3", "aac"):
        assert speak(server, response_format=format).content == speak(echo_server, response_format=format).content
    refused(transcribe(server, b"no audio"), 400, "invalid_audio", "file")
    refused(transcribe(server, fail="raise"), 500, "engine_error")
    assert not server.workers()
    unloaded = server.client.post("/v1/audio/models/unload", json={"model": "echo"})
    assert unloaded.json() == {"status": "unloaded", "model": "echo"}
    assert transcribe(server).json() == {"text": "one two three"}


def test_inline_is_free_again_when_a_caller_leaves(start_server: StartServer) -> None:
    server = start_server(environ={**ONE, "OS_PLACEMENT": "inline"})
    transcribe(server)
    caller = Http1(server)
    caller.send(TRANSCRIPTIONS, *form(tone(20.0), model="echo", step_ms="500"))
    time.sleep(0.7)
    caller.leave()
    assert timed(lambda: transcribe(server)) < 0.5 + MARGIN_S


# What stays behind


def test_nothing_said_is_in_the_log(start_server: StartServer) -> None:
    server = start_server(environ=ONE)
    said = "zebrafish"
    transcribe(server, prompt=said, echo_text=said, name=f"{said}.wav")
    transcribe(server, prompt=said, echo_text=said, stream="true")
    transcribe(server, prompt=said, fail="raise")
    transcribe(server, prompt=said, fail="exit")
    transcribe(server, language=said)
    transcribe(server, response_format=said)
    transcribe(server, said.encode() * 100)
    speak(server, said)
    speak(server, f"{said}.", fail="raise")
    speak(server, said, voice=said)
    speak(server, said, speed=said)
    server.client.post(SPEECH, content=f'{{"input":"{said}'.encode())
    log = server.log()
    assert "POST /v1/audio/speech 200" in log, "the log is there"
    assert "a worker of" in log, "and so are the faults"
    assert said not in log
    assert "private words" not in log


def test_descriptors_do_not_grow(start_server: StartServer) -> None:
    server = start_server(environ=ONE)
    process = psutil.Process(server.process.pid)

    def mixed() -> None:
        transcribe(server, stream="true")
        speak(server, response_format="opus")
        refused(transcribe(server, b"no audio"), 400, "invalid_audio")
        refused(speak(server, voice="nobody"), 400, "voice_not_found")
        for fields in ({"step_ms": "200"}, {"step_ms": "200", "stream": "true"}):
            caller = Http1(server)
            caller.send(TRANSCRIPTIONS, *form(tone(3.0), model="echo", **fields))
            time.sleep(0.05)
            caller.leave()
        half = Http1(server)
        half.send(TRANSCRIPTIONS, *(lambda headers, body: (headers, body[:5000]))(*form(tone(3.0))), of=96_000)
        half.leave()
        server.await_quiet()

    for _ in range(2):
        mixed()
    before, threads = process.num_fds(), process.num_threads()
    for _ in range(8):
        mixed()
    await_until(lambda: process.num_fds() <= before + 1, what=f"{before} descriptors became {process.num_fds()}")
    assert process.num_threads() <= threads + 4
    assert len(server.workers()) == 4


def test_a_killed_worker_leaves_no_descriptors(start_server: StartServer) -> None:
    server = start_server(environ=ONE)
    process = psutil.Process(server.process.pid)
    transcribe(server)
    before = process.num_fds()
    for _ in range(2):
        refused(transcribe(server, fail="exit"), 503, "worker_died")
        transcribe(server)
    await_until(lambda: process.num_fds() <= before)
    assert not [child for child in process.children() if child.status() == psutil.STATUS_ZOMBIE]


def test_plugins_are_echo() -> None:
    """The faults above are echo's; a rename there would let tests pass for the wrong reason."""
    from typing import get_args

    from open_speech_echo.options import Fault

    assert {"raise", "exit", "segfault", "hang", "freeze", "print"} == set(get_args(Fault))
    assert ECHO == ("open_speech_echo",)
