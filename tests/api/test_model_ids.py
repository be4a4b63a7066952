"""Ids in paths: 0 to 2 slashes, raw and as %2F, decoded once; what is no id; and every id the product promises."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from api.calling import refused
from api.runtime_for_tests import WEIGHTS
from api.serving import Running

IDS = ["slow", "org/slower", "a/b/slowest"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose models have 0, 1 and 2 slashes in their ids, and quick downloads."""
    running = Running(tmp_path_factory.mktemp("ids"), (WEIGHTS, "open_speech_echo"), {"WEIGHTS_STEP_S": "0"})
    yield running
    running.stop()


def raw(server: Running, method: str, path: str) -> tuple[int, dict[str, Any]]:
    """Send a path as it stands: clients resolve dots and encode what they think should be."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        request = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        connection.sendall(request.encode("latin-1"))
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    found = json.loads(body) if body.startswith(b"{") else {}
    return int(head.split()[1]), found


@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("spelt", [str, lambda id: quote(id, safe=""), lambda id: quote(id, safe="").lower()])
def test_every_verb_takes_every_spelling(server: Running, id: str, spelt: Any) -> None:
    path = f"/api/models/{spelt(id)}"
    assert server.client.get(path).json()["id"] == id
    assert server.client.get(f"{path}/status").json()["id"] == id
    assert server.client.get(f"{path}/progress").json()["id"] == id
    assert server.client.get(f"{path}/artifacts").json()["model"] == id
    for verb in ("download", "prefetch"):
        assert server.client.post(f"{path}/{verb}").json()["state"] == "downloaded"
    loaded = server.client.post(f"{path}/load").json()
    assert (loaded["id"], loaded["state"]) == (id, "loaded")
    assert server.client.delete(path).json() == {"status": "unloaded", "model": id}
    refused(server.client.delete(path), 404, "not_loaded", "model")
    refused(server.client.delete(f"{path}/download"), 404, "not_loaded", "model")
    assert server.client.delete(f"{path}/artifacts").json()["status"] == "deleted"
    assert server.client.delete(f"{path}/artifacts").json()["status"] == "not_found"
    assert server.client.get(f"/v1/models/{spelt(id)}").json()["id"] == id


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../slow",
        "org/../slow",
        "org/./slower",
        "%2e%2e/slow",
        "org/%2e%2e%2fslow",
        "slow%00",
        "slow%0a",
        "org%5cslower",
        "%7f",
        "x" * 4096,
    ],
)
@pytest.mark.parametrize(("method", "verb"), [("GET", ""), ("GET", "/status"), ("POST", "/load"), ("DELETE", "")])
def test_what_is_no_id_is_refused(server: Running, method: str, verb: str, path: str) -> None:
    status, body = raw(server, method, f"/api/models/{path}{verb}")
    assert (status, body["error"]["code"], body["error"]["param"]) == (400, "invalid_request", "model"), body
    assert len(body["error"]["message"]) < 200


@pytest.mark.parametrize("id", ["org%252Fslower", "org%252fslower", "a%252Fb%252Fslowest"])
def test_a_path_is_decoded_once(server: Running, id: str) -> None:
    for path in (f"/api/models/{id}", f"/v1/models/{id}"):
        status, body = raw(server, "GET", path)
        assert (status, body["error"]["code"], body["error"]["param"]) == (404, "model_not_found", "model")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "nobody/status"), ("POST", "nobody/load"), ("DELETE", "nobody"), ("DELETE", "no/bo/dy/artifacts")],
)
def test_an_id_nobody_knows(server: Running, method: str, path: str) -> None:
    message = refused(server.client.request(method, f"/api/models/{path}"), 404, "model_not_found", "model")
    assert "'nobody'" in message or "'no/bo/dy'" in message, "the verb is no part of the id"


@pytest.mark.parametrize("verb", ["status", "progress", "artifacts"])
def test_a_verb_is_no_part_of_an_id_though_somebody_would_claim_both(server: Running, verb: str) -> None:
    assert server.client.get("/api/models/some/repository").json()["id"] == "some/repository"
    message = refused(server.client.get(f"/api/models/nobody/{verb}"), 404, "model_not_found", "model")
    assert "'nobody'" in message
    refused(server.client.delete("/api/models/nobody/artifacts"), 404, "model_not_found", "model")


def test_an_id_that_ends_in_a_verbs_word(server: Running) -> None:
    for path in ("", "/status", "/progress"):
        assert server.client.get(f"/api/models/org/progress{path}").json()["id"] == "org/progress"
    assert server.client.get("/api/models/org/artifacts/status").json()["id"] == "org/artifacts"
    assert server.client.post("/api/models/org/artifacts/download").json()["state"] == "downloaded"
    assert server.client.get("/api/models/org/artifacts").json()["id"] == "org/artifacts", "now it lies here"
    assert server.client.delete("/api/models/org/artifacts/artifacts").json()["status"] == "deleted"


def test_a_post_without_a_verb_names_the_verbs(server: Running) -> None:
    message = refused(server.client.post("/api/models/slow"), 400, "invalid_request")
    assert "load, download, prefetch" in message


ENGLISH = ("tiny", "base", "small", "medium")
WHISPER_IDS = [
    *(f"Systran/faster-whisper-{size}{en}" for size in ENGLISH for en in ("", ".en")),
    "Systran/faster-whisper-large-v2",
    "Systran/faster-whisper-large-v3",
    "deepdml/faster-whisper-large-v3-turbo-ct2",
    *(f"Systran/faster-distil-whisper-{size}" for size in ("small.en", "medium.en", "large-v3")),
]
SIZES = ("tiny", "base", "small", "medium", "large-v2", "large-v3", *(f"{size}.en" for size in ENGLISH))
TURBO = "deepdml/faster-whisper-large-v3-turbo-ct2"
SHORT = {
    **{f"{before}{size}": f"Systran/faster-whisper-{size}" for size in SIZES for before in ("", "whisper-")},
    **dict.fromkeys(("turbo", "large-v3-turbo", "whisper-large-v3-turbo", "whisper-turbo"), TURBO),
    "distil-small.en": "Systran/faster-distil-whisper-small.en",
    "distil-medium.en": "Systran/faster-distil-whisper-medium.en",
    "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
    **dict.fromkeys(
        ("default", "whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-transcribe-diarize", "whisper"),
        "Systran/faster-whisper-tiny.en",
    ),
    **dict.fromkeys(("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "piper"), "piper/en_US-joe-medium"),
    "en_US-lessac-medium": "piper/en_US-lessac-medium",
    "en_GB-cori-high": "piper/en_GB-cori-high",
}
PIPER_VOICES = """
en_US: lessac-low lessac-medium lessac-high amy-medium arctic-medium bryce-medium danny-low hfc_female-medium
hfc_male-medium joe-medium john-medium kathleen-low kusal-medium libritts_r-medium ljspeech-medium ljspeech-high
norman-medium ryan-low ryan-medium ryan-high
en_GB: alan-low alan-medium cori-medium cori-high jenny_dioco-medium northern_english_male-medium semaine-medium
southern_english_female-low
"""
"""Without amy-high and southern_english_female-medium, which the upstream collection does not have."""


def piper_ids() -> Iterator[str]:
    region = ""
    for word in PIPER_VOICES.split():
        if word.endswith(":"):
            region = word[:-1]
        else:
            yield f"piper/{region}-{word}"


@pytest.mark.model
@pytest.mark.parametrize("id", [*WHISPER_IDS, *piper_ids()])
def test_every_promised_id_resolves_to_itself(starter_server: Running, id: str) -> None:
    found = starter_server.client.get(f"/api/models/{id}").json()
    assert found["id"] == id
    assert found["provider_available"]
    assert found["size_mb"]
    assert found["state"] in ("available", "downloaded", "loaded")


@pytest.mark.model
@pytest.mark.parametrize(("alias", "id"), SHORT.items())
def test_every_short_name_resolves(starter_server: Running, alias: str, id: str) -> None:
    assert starter_server.client.get(f"/api/models/{alias}/status").json()["id"] == id


# what further plugins bring

POCKET_IDS = (
    "pocket-tts",
    *(f"pocket-tts/{name}" for name in ("french", "german", "spanish", "italian", "portuguese")),
)
QWEN_IDS = (
    *(f"qwen3-tts/{size}-{variant}" for size in ("1.7B", "0.6B") for variant in ("CustomVoice", "Base")),
    "qwen3-tts/1.7B-VoiceDesign",
)
FURTHER_SHORT = {
    "pocket": "pocket-tts",
    "qwen3-tts": "qwen3-tts/1.7B-CustomVoice",
    "qwen3-tts-0.6b": "qwen3-tts/0.6B-CustomVoice",
    "qwen3-tts-1.7b": "qwen3-tts/1.7B-CustomVoice",
}


@pytest.fixture(scope="module")
def further_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Have the engines that need torch, which asking about models does not."""
    server = Running(
        tmp_path_factory.mktemp("further"), ("open_speech_kokoro", "open_speech_pocket", "open_speech_qwen")
    )
    yield server
    server.stop()


@pytest.mark.parametrize("id", [*POCKET_IDS, *QWEN_IDS])
def test_ids_of_further_engines_resolve_with_and_without_their_plugin(
    further_server: Running, echo_server: Running, id: str
) -> None:
    found = further_server.client.get(f"/api/models/{id}").json()
    assert (found["id"], found["state"], found["provider_available"]) == (id, "available", True)
    missing = echo_server.client.get(f"/api/models/{id}").json()
    assert (missing["id"], missing["state"], missing["provider_available"]) == (id, "provider_missing", False)


@pytest.mark.parametrize(("alias", "id"), FURTHER_SHORT.items())
def test_short_names_of_further_engines_resolve_with_and_without_their_plugin(
    further_server: Running, echo_server: Running, alias: str, id: str
) -> None:
    assert further_server.client.get(f"/api/models/{alias}/status").json()["id"] == id
    assert echo_server.client.get(f"/api/models/{alias}").json()["state"] == "provider_missing"


def test_kokoro_resolves_with_and_without_its_plugin(further_server: Running, echo_server: Running) -> None:
    found = further_server.client.get("/api/models/kokoro").json()
    assert (found["id"], found["provider_available"]) == ("kokoro", True)
    assert found["state"] in ("available", "downloaded")
    assert echo_server.client.get("/api/models/kokoro").json()["state"] == "provider_missing"
