"""Models that come and go over HTTP: states, progress, loading, unloading, deleting, and everything at once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import psutil
import pytest

from api.calling import checked, refused, speak, transcribe
from api.plugins_for_tests.weights import SIZE, STEP_BYTES
from api.runtime_for_tests import WEIGHTS
from api.serving import Running, StartServer
from open_speech_api.installs.catalogue import read_catalogue

PLUGINS = (WEIGHTS, "open_speech_echo")
EMBEDDED = "Systran/faster-whisper-tiny.en"


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def models(server: Running) -> dict[str, dict[str, Any]]:
    return {model["id"]: model for model in ok(server.client.get("/api/models"))["models"]}


def ok(response: httpx.Response, status: int = 200) -> dict[str, Any]:
    checked(response)
    assert response.status_code == status, response.text
    found = response.json()
    assert isinstance(found, dict)
    return found


def state(server: Running, id: str) -> str:
    return str(ok(server.client.get(f"/api/models/{id}/status"))["state"])


def progress(server: Running, id: str) -> dict[str, Any]:
    return ok(server.client.get(f"/api/models/{id}/progress"))


def until(true: Callable[[], Any], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def test_every_model_is_listed_with_what_it_is(start_server: StartServer) -> None:
    found = models(start_server(PLUGINS))
    assert set(found) >= {"echo", "echo-slow", "echo-voice", "slow", "org/slower", "a/b/slowest", "huge"}
    slow = found["slow"]
    assert (slow["type"], slow["backend"], slow["provider"]) == ("stt", "weights", "weights")
    assert (slow["state"], slow["provider_available"], slow["licence"]) == ("available", True, "CC0-1.0")
    assert slow["capabilities"]["word_timestamps"] is True
    assert found["medium"]["memory_mb"] == 100
    assert (found["echo-voice"]["type"], found["echo-voice"]["state"]) == ("tts", "downloaded")
    assert [id for id, model in found.items() if model["is_default"]] == ["echo", "echo-voice"]
    assert not any(model["loaded_at"] or model["ttl_remaining"] for model in found.values())


def test_what_nobody_listed_is_shown_while_it_comes_and_while_it_is_in_memory(
    start_server: StartServer, tmp_path: Path
) -> None:
    server, id = start_server(PLUGINS), "some/repository"
    assert id not in models(server)
    ok(server.client.post(f"/api/models/{id}/load?wait=false"), 202)
    until(lambda: state(server, id) == "downloading")
    assert models(server)[id] | {"state": "downloading", "backend": "weights"} == models(server)[id]
    until(lambda: state(server, id) == "loaded")
    (tmp_path / "0" / "data" / "models" / "weights" / "some--repository.bin").unlink()
    assert models(server)[id]["state"] == "loaded"
    assert id in [model["id"] for model in ok(server.client.get("/v1/models"))["data"]]
    assert [model["model"] for model in ok(server.client.get("/api/ps"))["models"]] == [id]
    ok(server.client.delete(f"/api/models/{id}"))
    assert id not in models(server)


def test_models_were_created_when_their_weights_came(start_server: StartServer, tmp_path: Path) -> None:
    def created(server: Running) -> dict[str, int]:
        return {model["id"]: model["created"] for model in ok(server.client.get("/v1/models"))["data"]}

    server = start_server(PLUGINS, {"WEIGHTS_STEP_S": "0", "OS_DATA_DIR": str(tmp_path / "shared")})
    ok(server.client.post("/api/models/slow/download"))
    os.utime(tmp_path / "shared" / "models" / "weights" / "slow.bin", (1_600_000_000, 1_600_000_000))
    first = created(server)
    assert first["slow"] == 1_600_000_000
    assert all(0 < at <= time.time() for at in first.values())
    time.sleep(1.1)
    again = start_server(PLUGINS, {"OS_DATA_DIR": str(tmp_path / "shared")})
    assert created(again) == first
    assert ok(again.client.get("/v1/models/slow"))["created"] == first["slow"]


def test_a_load_goes_through_all_states_with_real_progress(
    start_server: StartServer, callers: ThreadPoolExecutor
) -> None:
    server = start_server(PLUGINS, {"ECHO_LOAD_DELAY_S": "0.3", "WEIGHTS_LOAD_DELAY_S": "0.3"})
    assert progress(server, "slow") | {"status": "idle", "progress": 0.0, "bytes_done": 0} == progress(server, "slow")
    loading = callers.submit(server.client.post, "/api/models/slow/load")
    seen: list[str] = []
    bytes_done: list[int] = []
    while not loading.done():
        now = progress(server, "slow")
        seen += [now["status"]] if not seen or seen[-1] != now["status"] else []
        if now["status"] == "downloading":
            bytes_done.append(now["bytes_done"])
            assert now["progress"] == pytest.approx(now["bytes_done"] / SIZE)
            assert now["bytes_done"] % STEP_BYTES == 0
        time.sleep(0.01)
    loaded = ok(loading.result())
    assert loaded["state"] == "loaded"
    assert loaded["device"] == "cpu"
    assert abs(loaded["loaded_at"] - time.time()) < 10
    assert loaded["ttl_remaining"] == pytest.approx(300, abs=10)
    assert [each for each in seen if each not in ("idle", "queued")][:2] == ["downloading", "loading"]
    assert bytes_done == sorted(bytes_done)
    assert len(set(bytes_done)) > 4
    assert progress(server, "slow")["status"] == "ready"
    assert transcribe(server, model="slow").json() == {"text": "one two three"}


def test_who_does_not_wait_is_told_at_once(start_server: StartServer) -> None:
    server = start_server(PLUGINS)
    since = time.monotonic()
    assert ok(server.client.post("/api/models/slow/load?wait=false"), 202)["state"] == "queued"
    assert time.monotonic() - since < 0.4
    until(lambda: state(server, "slow") == "loaded")
    ok(server.client.post("/api/models/org/slower/download?wait=false"), 202)
    until(lambda: state(server, "org/slower") == "downloaded")
    assert ok(server.client.post("/api/models/org/slower/download?wait=false"), 202)["state"] == "downloaded"


def test_a_caller_that_leaves_does_not_end_the_load(start_server: StartServer) -> None:
    server = start_server(PLUGINS)
    with pytest.raises(httpx.ReadTimeout):
        server.client.post("/api/models/slow/load", timeout=0.2)
    until(lambda: state(server, "slow") == "loaded")


def test_a_download_loads_nothing_and_evicts_nobody(start_server: StartServer) -> None:
    server = start_server(PLUGINS, {"OS_MAX_LOADED_MODELS": "1"})
    ok(server.client.post("/api/models/echo/load"))
    (engine,) = server.workers()
    assert ok(server.client.post("/api/models/slow/download"))["state"] == "downloaded"
    assert server.workers() == [engine], "the download's own worker is gone"
    assert state(server, "echo") == "loaded"
    assert ok(server.client.post("/api/models/slow/load"))["state"] == "loaded"
    assert state(server, "echo") == "downloaded"
    assert not psutil.pid_exists(engine.pid)


def test_a_download_can_be_cancelled_and_goes_on_from_there(
    start_server: StartServer, callers: ThreadPoolExecutor
) -> None:
    server = start_server(PLUGINS)
    waiting = callers.submit(server.client.post, "/api/models/slow/load")
    until(lambda: progress(server, "slow")["bytes_done"] >= 3 * STEP_BYTES)
    assert ok(server.client.delete("/api/models/slow/download")) == {"status": "cancelled", "model": "slow"}
    assert "cancelled" in refused(waiting.result(), 500, "download_failed")
    assert not server.workers()
    assert state(server, "slow") == "available"
    there = ok(server.client.get("/api/models/slow/artifacts"))
    assert not there["complete"]
    assert 3 * STEP_BYTES <= there["bytes"] < SIZE
    assert there["files"] == [{"name": "weights/slow.partial", "bytes": there["bytes"]}]
    assert ok(server.client.post("/api/models/slow/download"))["state"] == "downloaded"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [("network", 500, "download_failed"), ("disk", 507, "storage_full"), ("exit", 503, "worker_died")],
)
def test_a_download_that_fails_says_why_and_can_be_repeated(
    start_server: StartServer, tmp_path: Path, fault: str, status: int, code: str
) -> None:
    server = start_server(PLUGINS, {"WEIGHTS_FAULT": fault, "WEIGHTS_STEP_S": "0"})
    ok(server.client.post("/api/models/echo/load"))
    message = refused(server.client.post("/api/models/slow/load"), status, code)
    failed = progress(server, "slow")
    assert failed["status"] == "failed"
    assert failed["error"] == {"code": code, "message": message, "param": None}
    assert state(server, "slow") == "available"
    assert state(server, "echo") == "loaded"
    (tmp_path / "0" / "data" / "models" / "weights" / "mended").touch()
    assert ok(server.client.post("/api/models/slow/load"))["error"] is None


def test_unloading_ends_the_process(start_server: StartServer) -> None:
    server = start_server(PLUGINS)
    for id in ("echo", "echo-voice"):
        ok(server.client.post(f"/api/models/{id}/load"))
        (engine,) = server.workers()
        assert ok(server.client.delete(f"/api/models/{id}")) == {"status": "unloaded", "model": id}
        assert not psutil.pid_exists(engine.pid)
        refused(server.client.delete(f"/api/models/{id}"), 404, "not_loaded", "model")
        assert state(server, id) == "downloaded"


def test_deleting_takes_the_models_own_files_and_no_others(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(PLUGINS, {"WEIGHTS_STEP_S": "0"})
    for id in ("slow", "org/slower"):
        ok(server.client.post(f"/api/models/{id}/load"))
    home = tmp_path / "0" / "data" / "models" / "weights"
    assert ok(server.client.delete("/api/models/slow/artifacts")) == {
        "status": "deleted",
        "model": "slow",
        "provider": "weights",
        "deleted_paths": ["weights/slow.bin"],
        "freed_bytes": SIZE,
    }
    assert [file.name for file in home.iterdir()] == ["org--slower.bin"]
    assert (state(server, "slow"), state(server, "org/slower")) == ("available", "loaded")
    gone = ok(server.client.delete("/api/models/slow/artifacts"))
    assert (gone["status"], gone["deleted_paths"], gone["freed_bytes"]) == ("not_found", [], 0)


def test_nothing_is_deleted_while_it_serves(start_server: StartServer, callers: ThreadPoolExecutor) -> None:
    server = start_server(PLUGINS)
    waiting = callers.submit(server.client.post, "/api/models/slow/load")
    until(lambda: progress(server, "slow")["status"] == "downloading")
    assert "cancel" in refused(server.client.delete("/api/models/slow/artifacts"), 409, "model_in_use", "model")
    ok(waiting.result())
    working = callers.submit(transcribe, server, model="slow", step_ms="500")
    time.sleep(0.4)
    refused(server.client.delete("/api/models/slow/artifacts"), 409, "model_in_use", "model")
    assert working.result().json() == {"text": "one two three"}
    assert ok(server.client.delete("/api/models/slow/artifacts"))["status"] == "deleted"


@pytest.mark.model
def test_weights_of_a_package_stay(starter_server: Running) -> None:
    message = refused(starter_server.client.delete(f"/api/models/{EMBEDDED}/artifacts"), 400, "feature_not_supported")
    assert "package" in message
    assert state(starter_server, EMBEDDED) in ("downloaded", "loaded")


MISSING = (
    ("Systran/faster-whisper-tiny", "whisper"),
    ("deepdml%2Ffaster-whisper-large-v3-turbo-ct2", "whisper"),
    ("piper", "piper"),
    ("piper/en_US-lessac-medium", "piper"),
    ("piper:en_GB-cori-high", "piper"),
    ("en_US-lessac-medium", "piper"),
    ("piper%2Fen_GB-cori-high", "piper"),
)
"""Ids of providers that the catalogue has and this server has not: listed there, or of that name."""


@pytest.mark.parametrize(("path", "provider"), MISSING)
def test_a_model_whose_provider_is_not_installed(start_server: StartServer, path: str, provider: str) -> None:
    server = start_server(PLUGINS, {"OS_MAX_LOADED_MODELS": "1"})
    ok(server.client.post("/api/models/echo/load"))
    id = unquote(path)
    for shown in (path, f"{path}/status"):
        found = ok(server.client.get(f"/api/models/{shown}"))
        assert found | {"id": id, "state": "provider_missing", "provider": provider} == found
        assert found["provider_available"] is False
    for method, verb in [("POST", "/load"), ("POST", "/load?wait=false"), ("POST", "/download"), ("DELETE", "")]:
        response = server.client.request(method, f"/api/models/{path}{verb}")
        message = refused(response, 400, "provider_missing", "model")
        assert f'POST /api/providers/install {{"provider": "{provider}"}}' in message
    assert "providers/install" in refused(server.client.get(f"/v1/models/{path}"), 404, "model_not_found", "model")
    refused(server.client.post(f"/api/ps/{path}"), 400, "provider_missing", "model")
    ask = (lambda: speak(server, model=id)) if provider == "piper" else (lambda: transcribe(server, model=id))
    assert "/api/providers/install" in refused(ask(), 400, "provider_missing", "model")
    assert state(server, "echo") == "loaded"
    assert transcribe(server).json() == {"text": "one two three"}


def test_models_of_missing_providers_are_listed_and_the_default_may_be_one(start_server: StartServer) -> None:
    server = start_server(PLUGINS, {"TTS_MODEL": "piper/en_US-lessac-medium", "STT_MODEL": "echo-slow"})
    found = models(server)
    for entry in read_catalogue():
        for id in entry.models:
            shown = found[id]
            assert (shown["state"], shown["provider_available"]) == ("provider_missing", False)
            assert shown["licence"]
            assert shown == ok(server.client.get(f"/api/models/{id}"))
    for asked in (..., "tts-1"):
        message = refused(speak(server, model=asked), 400, "provider_missing", "model")
        assert "'piper/en_US-lessac-medium' needs the provider 'piper'" in message
    assert transcribe(server, model="whisper-1", step_ms="0").status_code == 200


@pytest.mark.parametrize("id", ["echo", "echo-voice"])
def test_what_is_idle_for_the_ttl_is_unloaded_and_what_works_is_not(
    start_server: StartServer, callers: ThreadPoolExecutor, id: str
) -> None:
    server = start_server(PLUGINS, {"OS_MODEL_TTL": "2", "OS_CORES": "1"})
    if id == "echo":
        working = callers.submit(transcribe, server, step_ms="1200")  # four items: 4.8 s
    else:
        working = callers.submit(speak, server, "x" * 16, step_ms=1200)
    until(lambda: state(server, id) == "loaded")
    time.sleep(3.0)
    assert state(server, id) == "loaded"
    assert working.result().status_code == 200
    assert 0 < ok(server.client.get(f"/api/models/{id}"))["ttl_remaining"] <= 2
    until(lambda: state(server, id) == "downloaded", 5.0)
    until(lambda: not server.workers(), 5.0)


def test_the_longest_unused_gives_way(start_server: StartServer) -> None:
    server = start_server(PLUGINS, {"OS_MAX_LOADED_MODELS": "1"})
    transcribe(server)
    speak(server)
    assert (state(server, "echo"), state(server, "echo-voice")) == ("downloaded", "loaded")


def test_a_load_while_every_model_is_in_use(start_server: StartServer, callers: ThreadPoolExecutor) -> None:
    server = start_server(PLUGINS, {"OS_MAX_LOADED_MODELS": "1", "OS_QUEUE_WAIT_S": "0.5", "OS_CORES": "1"})
    working = callers.submit(transcribe, server, step_ms="700")
    until(lambda: state(server, "echo") == "loaded")
    time.sleep(0.2)
    refusal = server.client.post("/api/models/echo-voice/load")
    assert "in use" in refused(refusal, 503, "unavailable")
    assert int(refusal.headers["retry-after"]) >= 1
    assert working.result().json() == {"text": "one two three"}
    ok(server.client.post("/api/models/echo-voice/load"))


def test_a_model_too_large_is_refused_and_the_others_stay(start_server: StartServer) -> None:
    server = start_server(PLUGINS, {"OS_MEMORY_MB": "150", "WEIGHTS_STEP_S": "0"})
    ok(server.client.post("/api/models/medium/load"))
    for _ in range(2):
        refusal = server.client.post("/api/models/huge/load")
        message = refused(refusal, 507, "insufficient_memory", "model")
        assert str(1 << 30) in message
        assert refusal.headers["x-should-retry"] == "false"
    assert state(server, "medium") == "loaded"
    assert ok(server.client.get("/api/models/huge"))["error"]["code"] == "insufficient_memory"
    ok(server.client.post("/api/models/middling/load"))
    assert state(server, "medium") == "downloaded"


def test_preloading_pins_and_a_bad_id_stops_nothing(start_server: StartServer) -> None:
    server = start_server(
        PLUGINS,
        {
            "STT_PRELOAD_MODELS": "nobody,slow,echo",
            "TTS_PRELOAD_MODELS": "echo-voice",
            "OS_MODEL_TTL": "1",
        },
    )
    early = checked(server.client.get("/health/ready"), healthy=False)
    assert early.status_code == 503
    assert any("slow is being loaded" in problem for problem in early.json()["problems"])
    until(lambda: server.client.get("/health/ready").status_code == 200)
    assert server.client.get("/health/ready").json()["problems"] == [
        "nobody could not be preloaded: The model 'nobody' does not exist or is no transcriber."
    ]
    time.sleep(2.5)
    found = models(server)
    assert {id for id, model in found.items() if model["state"] == "loaded"} == {"slow", "echo", "echo-voice"}
    assert found["echo"]["ttl_remaining"] is None


def test_a_preload_that_failed_is_told_until_the_model_is_loaded(start_server: StartServer, tmp_path: Path) -> None:
    environ = {"STT_PRELOAD_MODELS": "slow,echo", "WEIGHTS_FAULT": "network", "WEIGHTS_STEP_S": "0"}
    server = start_server(PLUGINS, environ)
    until(lambda: server.client.get("/health/ready").status_code == 200)
    (problem,) = server.client.get("/health/ready").json()["problems"]
    assert problem == "slow could not be preloaded: the connection was lost; what came is kept"
    assert state(server, "echo") == "loaded"
    (tmp_path / "0" / "data" / "models" / "weights" / "mended").touch()
    ok(server.client.post("/api/models/slow/load"))
    assert server.client.get("/health/ready").json()["problems"] == []


def test_preloading_by_openais_name_means_the_configured_model(start_server: StartServer) -> None:
    server = start_server(PLUGINS, {"STT_PRELOAD_MODELS": "whisper-1", "STT_MODEL": "echo-slow"})
    until(lambda: server.client.get("/health/ready").status_code == 200)
    assert (state(server, "echo-slow"), state(server, "echo")) == ("loaded", "downloaded")


def test_a_model_is_swapped_while_another_serves(start_server: StartServer) -> None:
    server = start_server(PLUGINS)
    transcribe(server)
    answers: list[httpx.Response] = []
    done = threading.Event()

    def serve() -> None:
        with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
            while not done.is_set():
                body = {"model": "echo-voice", "input": "hello", "voice": "sine"}
                answers.append(client.post("/v1/audio/speech", json=body))

    serving = threading.Thread(target=serve)
    serving.start()
    for id in ("slow", "echo", "org/slower"):
        ok(server.client.post(f"/api/models/{id}/load"))
        ok(server.client.delete(f"/api/models/{id}"))
    done.set()
    serving.join()
    assert len(answers) > 5
    assert {answer.status_code for answer in answers} == {200}
    assert transcribe(server, model="slow").status_code == 200


def test_loads_and_unloads_of_one_model_at_once(start_server: StartServer, callers: ThreadPoolExecutor) -> None:
    server = start_server(PLUGINS)
    calls = [
        callers.submit(server.client.request, method, f"/api/models/echo{verb}")
        for method, verb in [("POST", "/load"), ("DELETE", "")] * 10
    ]
    assert {call.result().status_code for call in calls} <= {200, 404}
    until(lambda: state(server, "echo") in ("loaded", "downloaded"))
    ok(server.client.post("/api/models/echo/load"))
    assert transcribe(server).json() == {"text": "one two three"}
    ok(server.client.delete("/api/models/echo"))
    until(lambda: len(server.workers()) <= 1)


def test_without_a_key_others_may_look_and_not_touch(start_server: StartServer) -> None:
    server = start_server(PLUGINS, {"OS_HOST": "0.0.0.0", "OS_SSL_ENABLED": "false"})
    assert "slow" in models(server)
    for method, path in [
        ("POST", "slow/load"),
        ("POST", "slow/download"),
        ("DELETE", "slow"),
        ("DELETE", "slow/download"),
        ("DELETE", "slow/artifacts"),
    ]:
        assert "OS_API_KEY" in refused(server.client.request(method, f"/api/models/{path}"), 403, "forbidden")
    for method, path in [("POST", "ps/slow"), ("DELETE", "ps/slow"), ("POST", "pull/slow")]:
        refused(server.client.request(method, f"/api/{path}"), 403, "forbidden")
    assert state(server, "slow") == "available"


def test_a_deletion_that_was_killed_is_finished_at_the_next_start(tmp_path: Path, callers: ThreadPoolExecutor) -> None:
    pytest.importorskip("open_speech_whisper")
    owned = tmp_path / "own"
    model = owned / "org--whisper"
    model.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.bin", *map(str, range(20_000))):
        (model / name).touch()
    (owned / "another").mkdir()
    environ = {"STT_MODEL_DIR": str(owned), "HF_HOME": str(tmp_path)}
    server = Running(tmp_path, ("open_speech_whisper",), environ)
    assert state(server, "org/whisper") == "downloaded"
    deleting = callers.submit(server.client.delete, "/api/models/org/whisper/artifacts")
    while not (left := list(owned.glob(".deleting-*"))):
        assert not deleting.done()
    server.process.kill()
    server.process.wait()
    with pytest.raises(httpx.TransportError):
        deleting.result()
    assert list(left[0].iterdir()), "it was killed in the middle"
    assert not model.exists(), "nothing looks whole"
    again = Running(tmp_path, ("open_speech_whisper",), environ)
    assert state(again, "org/whisper") == "available"
    until(lambda: [folder.name for folder in owned.iterdir()] == ["another"])
    again.stop()


def test_every_copy_is_deleted_and_what_links_lead_to_stays(start_server: StartServer, tmp_path: Path) -> None:
    pytest.importorskip("open_speech_whisper")
    owned, kept = tmp_path / "own", tmp_path / "kept"
    for folder in (owned / "org--whisper", kept):
        folder.mkdir(parents=True)
        for name in ("config.json", "tokenizer.json", "model.bin"):
            (folder / name).write_bytes(b"1234")
    environ = {"STT_MODEL_DIR": str(owned), "HF_HOME": str(tmp_path)}
    server = start_server(("open_speech_whisper",), environ)
    home = tmp_path / "0" / "data" / "models" / "whisper"
    home.mkdir(parents=True)
    (home / "org--whisper").symlink_to(kept)
    gone = ok(server.client.delete("/api/models/org/whisper/artifacts"))
    assert gone["deleted_paths"] == ["whisper/org--whisper", "org--whisper"]
    assert gone["freed_bytes"] == 12
    assert (state(server, "org/whisper"), len(list(kept.iterdir()))) == ("available", 3)


def test_the_old_routes(start_server: StartServer) -> None:
    server = start_server(PLUGINS, {"WEIGHTS_STEP_S": "0"})

    def old(method: str, path: str) -> dict[str, Any]:
        response = server.client.request(method, path)
        assert response.headers["deprecation"] == "true"
        return ok(response)

    assert old("GET", "/api/ps") == {"models": []}
    assert old("POST", "/api/pull/a/b/slowest") == {"status": "downloaded", "model": "a/b/slowest"}
    assert old("POST", "/api/ps/a%2Fb%2Fslowest") == {"status": "loaded", "model": "a/b/slowest"}
    ok(server.client.post("/api/models/echo-voice/load"))
    (running,) = old("GET", "/api/ps")["models"]
    assert running | {"model": "a/b/slowest", "backend": "weights", "device": "cpu"} == running
    assert set(running) == {
        "model", "backend", "device", "compute_type", "loaded_at", "last_used_at", "is_default", "ttl_remaining",
    }  # fmt: skip
    assert old("DELETE", "/api/ps/a/b/slowest") == {"status": "unloaded", "model": "a/b/slowest"}
    refused(server.client.delete("/api/ps/a/b/slowest"), 404, "not_loaded", "model")
    refused(server.client.post("/api/pull/..%2Fslow"), 400, "invalid_request", "model")
