"""Health answers at once, whatever runs; readiness says what is missing."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.calling import checked, speak, transcribe
from api.serving import Running, StartServer


def test_health(start_server: StartServer) -> None:
    server = start_server()
    response = checked(server.client.get("/health"))
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"status", "version", "models_loaded"}
    assert (body["status"], body["models_loaded"]) == ("ok", 0)
    assert body["version"]
    transcribe(server)
    speak(server)
    assert server.client.get("/health").json()["models_loaded"] == 2, "media workers are no models"


def test_the_server_starts_soon(start_server: StartServer) -> None:
    # The issue allows 1.5 s on a quiet machine; tests may share theirs.
    assert start_server().startup_s < 5


def test_ready(echo_server: Running) -> None:
    response = checked(echo_server.client.get("/health/ready"))
    assert response.status_code == 200
    body = response.json()
    assert (body["status"], body["problems"]) == ("ready", [])


def test_not_ready_while_models_are_preloaded(start_server: StartServer) -> None:
    server = start_server(environ={"STT_PRELOAD_MODELS": "echo", "ECHO_LOAD_DELAY_S": "1"})
    response = checked(server.client.get("/health/ready"), healthy=False)
    assert response.status_code == 503
    assert response.json()["status"] == "starting"
    assert "echo" in response.json()["problems"][0]
    deadline = time.monotonic() + 10
    while server.client.get("/health/ready").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert server.client.get("/health").json()["models_loaded"] == 1


def test_not_ready_without_any_plugin(start_server: StartServer) -> None:
    server = start_server(("open_speech_starter",))
    response = checked(server.client.get("/health/ready"), healthy=False)
    assert response.status_code == 503
    assert len(response.json()["problems"]) == 2
    assert server.client.get("/health").status_code == 200


def test_health_does_not_wait_for_work(start_server: StartServer) -> None:
    server = start_server(environ={"ECHO_MAX_CONCURRENCY": "4"})
    with ThreadPoolExecutor(8) as callers:
        work = [callers.submit(transcribe, server, step_ms="100", fail="print") for _ in range(4)]
        work += [callers.submit(speak, server, "x" * 40, step_ms=50) for _ in range(4)]
        time.sleep(0.2)
        waits = []
        for _ in range(50):
            since = time.monotonic()
            assert server.client.get("/health").status_code == 200
            waits.append(time.monotonic() - since)
        assert all(each.result().status_code == 200 for each in work)
    assert sorted(waits)[len(waits) // 2] < 0.05
    assert max(waits) < 1.0


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
def test_health_is_there_with_and_without_a_slash(echo_server: Running, path: str) -> None:
    assert echo_server.client.get(path).status_code == 200
    assert echo_server.client.get(path + "/").status_code == 200
