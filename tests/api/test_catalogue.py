"""What is offered: models, voices, loading and unloading."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from api.calling import checked, refused, speak, transcribe
from api.serving import Running, StartServer

OPENAI_VOICES = {
    "alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse", "marin", "cedar",
}  # fmt: skip
WHISPER = "Systran/faster-whisper-tiny.en"
PIPER = "piper/en_US-joe-medium"


def get(server: Running, path: str) -> Any:
    response = checked(server.client.get(path))
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def state(server: Running, id: str) -> dict[str, Any]:
    (found,) = (model for model in get(server, "/v1/audio/models")["models"] if model["id"] == id)
    assert isinstance(found, dict)
    return found


def test_models_as_openai_lists_them(echo_server: Running) -> None:
    body = get(echo_server, "/v1/models")
    assert set(body) == {"object", "data"}
    assert body["object"] == "list"
    assert [model["id"] for model in body["data"]] == ["echo", "echo-slow", "echo-voice"]
    for model in body["data"]:
        assert {"id", "object", "created", "owned_by"} <= set(model)
        assert model["object"] == "model"
        assert isinstance(model["created"], int)
        assert 0 < model["created"] <= time.time()
        assert model["owned_by"] == "open-speech/echo"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("echo", "echo"),
        ("echo-voice", "echo-voice"),
        ("echo:echo-slow", "echo-slow"),
        ("whisper-1", "echo"),
        ("tts-1", "echo-voice"),
        ("gpt-4o-mini-tts", "echo-voice"),
    ],
)
def test_one_model(echo_server: Running, asked: str, found: str) -> None:
    listed = {model["id"]: model for model in get(echo_server, "/v1/models")["data"]}
    assert get(echo_server, f"/v1/models/{asked}") == listed[found]


@pytest.mark.parametrize("id", ["nope", "no/such/model", "no%2Fsuch%2Fmodel", "%20", "x" * 3000])
def test_an_unknown_model_is_named(echo_server: Running, id: str) -> None:
    message = refused(echo_server.client.get(f"/v1/models/{id}"), 404, "model_not_found", "model")
    assert "does not exist" in message
    assert len(message) < 200


@pytest.mark.model
@pytest.mark.parametrize("id", [WHISPER, PIPER])
def test_ids_with_a_slash_raw_and_encoded(starter_server: Running, id: str) -> None:
    assert id in [model["id"] for model in get(starter_server, "/v1/models")["data"]]
    for path in (id, quote(id, safe=""), quote(id, safe="").replace("%2F", "%2f")):
        assert get(starter_server, f"/v1/models/{path}")["id"] == id


@pytest.mark.model
def test_the_starter_lists_what_is_here(starter_server: Running) -> None:
    ids = {model["id"] for model in get(starter_server, "/v1/models")["data"]}
    assert ids == {WHISPER, PIPER}, "and nothing that would have to be fetched first"
    voices = get(starter_server, "/v1/audio/voices")["voices"]
    assert {voice["id"] for voice in voices if voice["alias"]} == OPENAI_VOICES
    assert {voice["model"] for voice in voices} == {PIPER}


def test_state_of_models(start_server: StartServer) -> None:
    server = start_server()
    body = get(server, "/v1/audio/models")
    assert set(body) == {"models"}
    for model in body["models"]:
        assert {"id", "model", "backend", "device", "status", "loaded_at", "last_used_at", "kind"} <= set(model)
        assert model["id"] == model["model"]
        assert (model["backend"], model["status"], model["device"]) == ("echo", "not_loaded", None)
    transcribe(server)
    used = state(server, "echo")
    assert (used["status"], used["device"], used["kind"]) == ("loaded", "cpu", "transcriber")
    assert time.time() - 60 < used["loaded_at"] <= used["last_used_at"] <= time.time() + 1
    assert state(server, "echo-slow")["status"] == "not_loaded"


def test_load_and_unload(start_server: StartServer) -> None:
    server = start_server()
    assert not server.workers()
    loaded = checked(server.client.post("/v1/audio/models/load", json={"model": "echo"}))
    assert loaded.json() == {"status": "loaded", "model": "echo"}
    (worker,) = server.workers()
    assert state(server, "echo")["status"] == "loaded"
    again = checked(server.client.post("/v1/audio/models/load", json={"model": "echo"}))
    assert again.json() == {"status": "loaded", "model": "echo"}
    assert server.workers() == [worker]
    unloaded = checked(server.client.post("/v1/audio/models/unload", json={"model": "echo"}))
    assert unloaded.json() == {"status": "unloaded", "model": "echo"}
    assert not psutil.pid_exists(worker.pid), "unload ends the process before it answers"
    assert state(server, "echo")["status"] == "not_loaded"
    again = server.client.post("/v1/audio/models/unload", json={"model": "echo"})
    message = refused(again, 404, "not_loaded", "model")
    assert "'echo' is not loaded" in message
    assert transcribe(server).status_code == 200, "it is loaded again when it is needed"


@pytest.mark.parametrize("body", [None, b"", b"{}", b'{"model":null}', b'{"model":""}'])
def test_no_model_means_the_default_voice(start_server: StartServer, body: bytes | None) -> None:
    server = start_server()
    headers = {"content-type": "application/json"} if body else {}
    for action in ("load", "unload"):
        response = checked(server.client.post(f"/v1/audio/models/{action}", content=body, headers=headers))
        assert response.status_code == 200, response.text
        assert response.json() == {"status": f"{action}ed", "model": "echo-voice"}


@pytest.mark.parametrize("action", ["load", "unload"])
@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b'{"model":"nope"}', 404, "model_not_found"),
        (b'{"model":3}', 400, "invalid_request"),
        (b'{"model":', 400, "invalid_request"),
        (b"[]", 400, "invalid_request"),
        (b'"echo"', 400, "invalid_request"),
        (b"\xff\xfe", 400, "invalid_request"),
        (b'{"model":"\\ud800"}', 400, "invalid_request"),
        (b"[" * 100_000, 400, "invalid_request"),
        (b'{"model":"' + b"x" * (1 << 21) + b'"}', 413, "upload_too_large"),
    ],
)
def test_bad_bodies_of_load_and_unload(
    echo_server: Running, action: str, content: bytes, status: int, code: str
) -> None:
    response = echo_server.client.post(
        f"/v1/audio/models/{action}", content=content, headers={"content-type": "application/json"}
    )
    refused(response, status, code)


def test_unload_waits_for_who_is_served(start_server: StartServer) -> None:
    import threading

    server = start_server()
    answers: list[int] = []
    running = threading.Thread(target=lambda: answers.append(transcribe(server, step_ms="200").status_code))
    running.start()
    while state(server, "echo")["status"] != "loaded":
        time.sleep(0.01)
    time.sleep(0.2)
    assert server.client.post("/v1/audio/models/unload", json={"model": "echo"}).status_code == 200
    running.join()
    assert answers == [200]
    assert state(server, "echo")["status"] == "not_loaded"


def test_voices_and_their_aliases(echo_server: Running) -> None:
    voices = get(echo_server, "/v1/audio/voices")["voices"]
    for voice in voices:
        assert {"id", "name", "language", "gender", "description", "provider", "model", "alias"} <= set(voice)
    assert [voice["id"] for voice in voices if not voice["alias"]] == ["sine", "square", "high"]
    assert {voice["id"] for voice in voices if voice["alias"]} == OPENAI_VOICES
    (high,) = (voice for voice in voices if voice["id"] == "high")
    assert (high["language"], high["provider"], high["model"]) == ("en-gb", "echo", "echo-voice")


def test_every_listed_voice_speaks(echo_server: Running) -> None:
    for voice in get(echo_server, "/v1/audio/voices")["voices"]:
        response = speak(echo_server, "hm", model=voice["model"], voice=voice["id"], response_format="pcm")
        assert response.status_code == 200


@pytest.mark.parametrize("of", ["echo", "echo-voice", "echo:echo-voice", "tts-1"])
def test_voices_of_a_model_or_a_provider(echo_server: Running, of: str) -> None:
    assert get(echo_server, f"/v1/audio/voices?model={of}") == get(echo_server, "/v1/audio/voices")


@pytest.mark.parametrize("of", ["nope", "echo-slow", "org%2Fmodel", "x" * 2000])
def test_voices_of_nothing_known(echo_server: Running, of: str) -> None:
    refused(echo_server.client.get(f"/v1/audio/voices?model={of}"), 404, "model_not_found", "model")


def test_methods_that_are_not_there(echo_server: Running) -> None:
    for method, path in (
        ("GET", "/v1/audio/speech"),
        ("PUT", "/v1/audio/transcriptions"),
        ("DELETE", "/v1/models"),
        ("GET", "/v1/audio/models/load"),
    ):
        response = checked(echo_server.client.request(method, path))
        refused(response, 405, "method_not_allowed", None)
        assert "POST" in response.headers["allow"] or "GET" in response.headers["allow"]


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/", "/v2/models", "/v1/audio", "/v1/audio/nothing", "/favicon.ico", "/%00", "/%ff"]
)
def test_paths_that_are_not_there(echo_server: Running, path: str) -> None:
    refused(echo_server.client.get(path), 404, "not_found", None)


def test_request_ids_are_unique(echo_server: Running) -> None:
    ids = {
        checked(echo_server.client.get(path)).headers["x-request-id"]
        for path in ["/health", "/nope", "/v1/models"] * 20
    }
    assert len(ids) == 60


def test_missing_weights_name_the_command(start_server: StartServer, tmp_path: Any) -> None:
    pytest.importorskip("open_speech_whisper")
    server = start_server(
        ("open_speech_whisper",),
        {"OS_AUTO_DOWNLOAD": "false", "HF_HOME": str(tmp_path / "none"), "HF_HUB_OFFLINE": "1"},
    )
    response = transcribe(server, model="whisper-1")
    message = refused(response, 409, "weights_missing", "model")
    assert "open-speech models download" in message
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.model
def test_an_id_reaches_who_lists_it_though_another_kind_would_claim_it(starter_server: Running) -> None:
    # Whisper claims any ``org/name`` as a repository of the hub; Piper lists this one.
    voice = "piper/en_US-joe-medium"
    shown = starter_server.client.get(f"/v1/models/{voice}")
    assert shown.json()["kind"] == "synthesizer"
    unlisted = starter_server.client.get("/v1/models/piper/en_US-nobody-medium")
    assert unlisted.json()["kind"] == "synthesizer"
    loaded = starter_server.client.post("/v1/audio/models/load", json={"model": voice})
    assert (loaded.status_code, loaded.json()) == (200, {"status": "loaded", "model": voice})
    unloaded = starter_server.client.post("/v1/audio/models/unload", json={"model": voice})
    assert unloaded.json() == {"status": "unloaded", "model": voice}
