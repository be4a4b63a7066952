"""What the tests of the voice library send."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from api.calling import checked, decoded, pitch, speak, tone, wav
from api.serving import ECHO, Running

LIBRARY = "/api/voices/library"
CLONE = "/v1/audio/speech/clone"
PLUGINS = (*ECHO, "api.plugins_for_tests.cloning")
RECORDING = tone(1.5, rate=22_050)


def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with a model that clones, for a module's tests."""
    server = Running(tmp_path_factory.mktemp("voices"), PLUGINS, {"OS_MAX_UPLOAD_MB": "1"})
    yield server
    server.await_quiet()
    server.stop()


def emptied(server: Running) -> Iterator[Path]:
    """Where the shared server keeps its voices; empty before and after."""
    path = server.run_folder.parent / "data" / "voices"
    shutil.rmtree(path, ignore_errors=True)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def store(server: Running, name: str | None = "anne", file: bytes = RECORDING, **fields: str) -> httpx.Response:
    data = {**fields, **({} if name is None else {"name": name})}
    # What the client says of the file counts for nothing.
    return checked(server.client.post(LIBRARY, data=data, files={"audio": ("../../a.mp3", file, "audio/mpeg")}))


def stored(server: Running, *arguments: Any, **fields: str) -> dict[str, Any]:
    response = store(server, *arguments, **fields)
    assert response.status_code == 201, response.text
    found = response.json()
    assert isinstance(found, dict)
    return found


def names(server: Running) -> list[str]:
    return [voice["name"] for voice in checked(server.client.get(LIBRARY)).json()]


def clone(server: Running, ref: str | None, file: bytes | None = None, **fields: str) -> httpx.Response:
    sent = {"model": "parrot", "input": "Hello there.", "response_format": "wav", **fields}
    if ref is not None:
        sent["voice_library_ref"] = ref
    files = {"none": ("", b"")} if file is None else {"reference_audio": ("a.wav", file)}
    return checked(server.client.post(CLONE, data=sent, files=files))


def as_json(server: Running, ref: str, **fields: Any) -> httpx.Response:
    return speak(
        server, **{"model": "parrot", "voice": "own", "response_format": "wav", "voice_library_ref": ref, **fields}
    )


def assert_sounds(response: httpx.Response, hz: float = 440, seconds: float = 1.5) -> None:
    assert response.status_code == 200, response.text
    samples, rate = decoded(response.content)
    assert pitch(samples, rate) == pytest.approx(hz, abs=4)
    assert len(samples) / rate == pytest.approx(seconds, abs=0.02)


def high(seconds: float = 1.2, rate: int = 16_000) -> bytes:
    """Give a tone of 660 Hz."""
    times = np.arange(int(seconds * rate)) / rate
    return wav((np.sin(2 * np.pi * 660 * times) * 16_000).astype("<i2").tobytes(), rate)
