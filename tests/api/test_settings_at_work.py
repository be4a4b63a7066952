"""Every variable changes what the server does; those that other tests show to do so are not shown here again."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.calling import SPEECH, refused, tone, transcribe, wav
from api.real import heard, said
from api.serving import STARTER, Running, StartServer, free_port
from api.test_cli import serving
from open_speech_api.settings.environment import variables

TESTS = Path(__file__).parents[1]
SAME_FOR_ALL = {"test_settings.py", "test_doctor.py", "serving.py", "running.py"}
"""Files that read or set variables without showing what they do."""
SHOWN_BY_EVERY_TEST = {"OS_PORT", "OS_DATA_DIR", "OS_RUN_DIR"}
"""``serving`` finds the server, its certificates and the requests' files by these."""
NOT_YET = {"OS_INSTALL_TIMEOUT_S"}
SILENCE_S = bytes(2 * 16_000)


def test_every_variable_has_a_test_of_what_it_does() -> None:
    files = [path for path in TESTS.rglob("test_*.py") if path.name not in SAME_FOR_ALL]
    named = set(re.findall(r"\b(?:OS|STT|TTS)_[A-Z_]+[A-Z]\b", "".join(path.read_text() for path in files)))
    assert {variable.name for variable in variables()} - named - SHOWN_BY_EVERY_TEST <= NOT_YET


# Who may call


def allowed(server: Running, origin: str) -> tuple[str | None, str | None]:
    headers = server.client.get("/health", headers={"origin": origin}).headers
    return headers.get("access-control-allow-origin"), headers.get("access-control-allow-credentials")


def test_os_cors_origins(start_server: StartServer, echo_server: Running) -> None:
    assert allowed(echo_server, "https://any.example") == ("*", None)
    server = start_server(environ={"OS_CORS_ORIGINS": "https://a.example, https://b.example", "OS_API_KEY": "k"})
    assert allowed(server, "https://a.example") == ("https://a.example", "true")
    assert allowed(server, "https://b.example") == ("https://b.example", "true")
    assert allowed(server, "https://c.example")[0] is None
    asked = {"origin": "https://a.example", "access-control-request-method": "POST"}
    preflight = server.client.options(SPEECH, headers={**asked, "access-control-request-headers": "authorization"})
    assert preflight.status_code in (200, 204), "a browser asks without the key"
    assert preflight.headers["access-control-allow-origin"] == "https://a.example"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    strange = server.client.options(SPEECH, headers={**asked, "origin": "https://c.example"})
    assert "access-control-allow-origin" not in strange.headers


@pytest.mark.parametrize("trusted", [True, False])
def test_os_trust_proxy(start_server: StartServer, trusted: bool) -> None:
    """Callers take turns by their address; a proxy's callers by the one it wrote."""
    server = start_server(environ={"OS_CORES": "1", "OS_TRUST_PROXY": str(trusted)})
    transcribe(server)
    done: list[str] = []

    def ask(address: str) -> None:
        assert transcribe(server, headers={"x-forwarded-for": address}, step_ms="100").status_code == 200
        done.append(address)

    threads = [threading.Thread(target=ask, args=("10.0.0.1",)) for _ in range(6)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    threads.append(threading.Thread(target=ask, args=("10.0.0.2",)))
    threads[-1].start()
    for thread in threads:
        thread.join()
    assert (done.index("10.0.0.2") <= 3) == trusted, done


def test_os_provider_install(start_server: StartServer) -> None:
    server = start_server(environ={"OS_PROVIDER_INSTALL": "no"})
    response = server.client.post("/api/providers/install", json={"provider": "piper"})
    refused(response, 403, "feature_disabled", None)


# How it runs


@pytest.mark.parametrize("level", ["info", "warning"])
def test_os_log_level(tmp_path: Path, level: str) -> None:
    port = free_port()
    with serving(tmp_path, OS_PORT=str(port), OS_LOG_LEVEL=level):
        assert httpx.get(f"http://127.0.0.1:{port}/nothing", trust_env=False).status_code == 404
    assert ("GET /nothing 404" in (tmp_path / "err").read_text()) == (level == "info")


@pytest.mark.parametrize(("set_to", "threads"), [({}, "1"), ({"OS_WORKER_THREADS": "2"}, "2")])
def test_os_worker_threads(start_server: StartServer, set_to: dict[str, str], threads: str) -> None:
    server = start_server(environ={"OS_CORES": "2", **set_to})
    with ThreadPoolExecutor(4) as callers:
        for each in [callers.submit(transcribe, server, step_ms="300") for _ in range(4)]:
            assert each.result().status_code == 200
    engines = [worker.environ()["OMP_NUM_THREADS"] for worker in server.workers()]
    # One decoder, and as many replicas as the cores give threads to.
    assert sorted(engines) == sorted(["1", *[threads] * (2 // int(threads))])


# Engines


@pytest.fixture
def without_gpu() -> None:
    pytest.importorskip("open_speech_starter")
    import ctranslate2

    if ctranslate2.get_cuda_device_count():
        pytest.skip("what is absent elsewhere is here")


@pytest.mark.model
@pytest.mark.usefixtures("without_gpu")
@pytest.mark.parametrize(
    ("environ", "hears", "speaks"),
    [
        ({"STT_DEVICE": "cuda"}, False, False),
        ({"STT_DEVICE": "cuda", "TTS_DEVICE": "cpu"}, False, True),
        ({"TTS_DEVICE": "cuda"}, True, False),
        ({}, True, True),
    ],
)
def test_stt_device_and_tts_device(
    start_server: StartServer, short: bytes, environ: dict[str, str], hears: bool, speaks: bool
) -> None:
    server = start_server(STARTER, environ)
    for works, response in ((hears, heard(server, short)), (speaks, said(server))):
        if works:
            assert response.status_code == 200, response.text
        else:
            assert "cuda" in refused(response, 500, "load_failed").lower()


@pytest.mark.model
@pytest.mark.parametrize(("environ", "kind"), [({}, "int8"), ({"STT_COMPUTE_TYPE": "float32"}, "float32")])
def test_stt_compute_type(start_server: StartServer, short: bytes, environ: dict[str, str], kind: str) -> None:
    pytest.importorskip("open_speech_starter")
    server = start_server(STARTER, {"STT_DEVICE": "cpu", **environ})
    assert heard(server, short).status_code == 200
    (model,) = server.client.get("/api/ps").json()["models"]
    assert model["compute_type"] == kind


# Finding speech: echo's detector takes the loudness for the probability


def spans(server: Running, file: bytes) -> list[float]:
    """Give where each span starts: echo counts from one in each."""
    body = transcribe(server, file, response_format="verbose_json").json()
    return [segment["start"] for segment in body["segments"] if segment["text"].startswith(" one")]


@pytest.mark.parametrize(
    ("environ", "heard_at"),
    [
        ({}, []),
        ({"STT_VAD_THRESHOLD": "0.2"}, [4.6]),
        ({"STT_VAD_ENABLED": "false"}, [0.0]),
    ],
)
def test_stt_vad_threshold_and_enabled(start_server: StartServer, environ: dict[str, str], heard_at: list[Any]) -> None:
    quiet = tone(2.0, amplitude=0.01)[44:]  # a probability of 0.4
    server = start_server(environ=environ)
    assert spans(server, wav(SILENCE_S * 5 + quiet)) == [pytest.approx(start, abs=0.05) for start in heard_at]


@pytest.mark.parametrize(("environ", "count"), [({}, 0), ({"STT_VAD_MIN_SPEECH_MS": "100"}, 1)])
def test_stt_vad_min_speech_ms(start_server: StartServer, environ: dict[str, str], count: int) -> None:
    server = start_server(environ=environ)
    assert len(spans(server, wav(SILENCE_S * 2 + tone(0.2)[44:] + SILENCE_S * 2))) == count


@pytest.mark.parametrize(("environ", "count"), [({}, 2), ({"STT_VAD_SILENCE_MS": "4000"}, 1)])
def test_stt_vad_silence_ms(start_server: StartServer, environ: dict[str, str], count: int) -> None:
    server = start_server(environ=environ)
    pcm = tone(2.0)[44:]
    assert len(spans(server, wav(pcm + SILENCE_S * 3 + pcm))) == count
