"""The voice library over a real server: what is stored, and by which name."""

from __future__ import annotations

import http.client
import io
import json
import shutil
import stat
import wave
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from api.calling import assert_envelope, checked, refused, speak, tone, wav
from api.serving import Running, StartServer
from api.voices import LIBRARY, PLUGINS, RECORDING, assert_sounds, clone, emptied, high, names, running, store, stored

server = pytest.fixture(scope="module")(running)
folder = pytest.fixture(emptied)


# Storing, listing, deleting


def test_a_voice_is_stored_shown_listed_and_deleted(server: Running, folder: Path) -> None:
    assert names(server) == []
    assert not folder.exists(), "nothing is made before the first voice"
    made = stored(server, "Anne", transcript="Hello.", consent="She said yes on 2 May.")
    assert made["name"] == "anne"
    assert made["content_type"] == "audio/wav"
    assert made["size_bytes"] == (folder / "anne.audio.wav").stat().st_size
    assert (made["duration_s"], made["sample_rate"]) == (1.5, 22_050)
    assert (made["transcript"], made["consent"]) == ("Hello.", "She said yes on 2 May.")
    created = datetime.fromisoformat(made["created_at"])
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=1)
    assert checked(server.client.get(f"{LIBRARY}/anne")).json() == made
    stored(server, "zoe")
    stored(server, "bert")
    listed = checked(server.client.get(LIBRARY)).json()
    assert [voice["name"] for voice in listed] == ["anne", "bert", "zoe"]
    assert listed[0] == made
    assert checked(server.client.get(f"{LIBRARY}?envelope=true")).json() == {"voices": listed}
    refused(server.client.get(f"{LIBRARY}?envelope=perhaps"), 400, "invalid_request", "envelope")
    gone = checked(server.client.delete(f"{LIBRARY}/anne"))
    assert (gone.status_code, gone.content) == (204, b"")
    assert names(server) == ["bert", "zoe"]
    assert not [path for path in folder.iterdir() if "anne" in path.name]
    for call in (server.client.get, server.client.delete):
        refused(call(f"{LIBRARY}/anne"), 404, "stored_voice_not_found")
    refused(server.client.get(f"{LIBRARY}/anne/audio"), 404, "stored_voice_not_found")


def test_only_the_owner_can_read_the_files(server: Running, folder: Path) -> None:
    stored(server)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "anne.audio.wav": 0o600,
        "anne.meta.json": 0o600,
    }


def test_a_wav_as_it_is_kept_comes_back_to_the_bit(server: Running, folder: Path) -> None:
    stored(server)
    answer = checked(server.client.get(f"{LIBRARY}/anne/audio"))
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.content == RECORDING


def test_any_wav_becomes_mono_of_16_bits(server: Running, folder: Path) -> None:
    times = np.arange(96_000) / 96_000
    sides = np.stack([np.sin(2 * np.pi * 440 * times) * 0.5] * 2, axis=1)
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((2, 3, 96_000, 0, "NONE", ""))
        writer.writeframes((sides * (1 << 31)).astype("<i4").view("u1").reshape(-1, 4)[:, 1:].tobytes())
    made = stored(server, "wide", file.getvalue())
    assert (made["sample_rate"], made["duration_s"]) == (48_000, 1.0)
    answer = server.client.get(f"{LIBRARY}/wide/audio")
    with wave.open(io.BytesIO(answer.content)) as reader:
        assert reader.getparams()[:4] == (1, 2, 48_000, 48_000)
    assert_sounds(answer, seconds=1.0)


def test_speech_of_our_own_can_be_stored(server: Running, folder: Path) -> None:
    """A WAV that was streamed does not say how long it is."""
    made = stored(server, "sine", speak(server, "x" * 25, response_format="wav").content)
    assert made["duration_s"] == pytest.approx(1.5, abs=0.02)


def test_voices_outlive_the_server(start_server: StartServer, tmp_path: Path) -> None:
    environ = {"OS_VOICE_LIBRARY_PATH": str(tmp_path / "deep" / "down")}
    first = start_server(PLUGINS, environ)
    made = stored(first)
    first.stop()
    again = start_server(PLUGINS, environ)
    assert again.client.get(LIBRARY).json() == [made]
    assert_sounds(clone(again, "anne"))


def test_a_library_of_the_first_open_speech_is_read(server: Running, folder: Path) -> None:
    folder.mkdir()
    (folder / "old.audio.wav").write_bytes(RECORDING)
    meta = {"name": "old", "content_type": "audio/wav", "size_bytes": len(RECORDING)}
    (folder / "old.meta.json").write_text(json.dumps({**meta, "created_at": "2026-02-20T10:00:00+00:00"}))
    shown = checked(server.client.get(f"{LIBRARY}/old")).json()
    assert (shown["created_at"], shown["transcript"]) == ("2026-02-20T10:00:00Z", None)
    assert_sounds(clone(server, "old"))


# Names


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("My Voice-2", "my_voice_2"),
        ("  Zoë!  ", "zo"),
        ("../../etc/passwd", "etcpasswd"),
        ("a\x00b%2Fc", "ab2fc"),
        ("x" * 64, "x" * 64),
        ("_", "_"),
    ],
)
def test_a_name_is_cleaned(server: Running, folder: Path, written: str, name: str) -> None:
    assert stored(server, written)["name"] == name
    assert sorted(path.name for path in folder.iterdir()) == [f"{name}.audio.wav", f"{name}.meta.json"]


@pytest.mark.parametrize("written", [None, "", " ", "..", "/", "\x00", "日本", "x" * 65, "x" * 4096])
def test_what_is_no_name_is_refused(server: Running, folder: Path, written: str | None) -> None:
    refused(store(server, written), 400, "invalid_voice", "name")
    assert not folder.exists()


def test_a_voice_is_found_by_its_name_as_it_was_written(server: Running, folder: Path) -> None:
    stored(server, "My Voice-2")
    for written in ("my_voice_2", "My%20Voice-2", "MY-VOICE-2"):
        assert server.client.get(f"{LIBRARY}/{written}").json()["name"] == "my_voice_2"
    assert_sounds(clone(server, "My Voice-2"))


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("tail", ["", "/audio"])
@pytest.mark.parametrize(
    "name",
    [
        "nobody", "..", ".", "%2e%2e", "..%2fanne", "..%2Fanne", "..%252Fanne", "%252e%252e%252fanne", "..%5canne",
        "../voices/anne", "%2F..%2Fanne", "anne%00", "%00", "anne.meta.json", "anne.audio.wav", ".anne", "anne*", "%ff",
        "x" * 65, "x" * 4096, "%20", "anne%0a", "%C4%B0", "~", "a%2fb%2fc",
    ],
)  # fmt: skip
def test_a_bad_name_is_not_found(server: Running, folder: Path, method: str, tail: str, name: str) -> None:
    stored(server)
    for path in list(folder.iterdir()):
        shutil.copy(path, folder.parent)
    # Not by httpx, which tidies a path before it is sent.
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest(method, f"{LIBRARY}/{name}{tail}")
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.status in ((404, 405) if method == "DELETE" else (404,)), body
    assert_envelope(json.loads(body))
    assert names(server) == ["anne"]
    for path in folder.iterdir():
        (folder.parent / path.name).unlink()


def test_a_name_that_is_taken(server: Running, folder: Path) -> None:
    stored(server, transcript="first")
    refused(store(server, "ANNE", high()), 409, "voice_exists", "name")
    assert server.client.get(f"{LIBRARY}/anne/audio").content == RECORDING
    assert stored(server, "Anne", high(), overwrite="true")["transcript"] is None, "nothing of the old one stays"
    assert_sounds(server.client.get(f"{LIBRARY}/anne/audio"), 660, 1.2)
    assert len(list(folder.iterdir())) == 2
    refused(store(server, overwrite="perhaps"), 400, "invalid_request", "overwrite")


# What may be stored


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"no sound" * 100,
        b"RIFF",
        b"RIFF\x00\x00\x00\x00WAVE",
        RECORDING[:44],
        b"RIFF\xff\xff\xff\xffWAVE" + bytes(500),
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00" + b"\xff" * 500,
        b"RIFX" + RECORDING[4:],
        RECORDING[:8] + b"AVI " + RECORDING[12:],
    ],
    ids=["empty", "text", "four", "twelve", "header", "zeros", "odd", "big-endian", "avi"],
)
def test_what_is_no_wav_is_refused(server: Running, folder: Path, file: bytes) -> None:
    message = refused(store(server, file=file), 400, "invalid_voice", "audio")
    assert message.startswith("audio: ")
    assert not folder.exists()


@pytest.mark.parametrize("format", ["mp3", "flac", "opus"])
def test_other_formats_are_refused(server: Running, folder: Path, format: str) -> None:
    spoken = speak(server, "x" * 25, response_format=format).content
    assert "WAV" in refused(store(server, file=spoken), 400, "invalid_voice", "audio")


def test_what_is_longer_than_any_model_takes(server: Running, folder: Path) -> None:
    assert "120 s" in refused(store(server, file=wav(bytes(121 * 2 * 4000), 4000)), 400, "invalid_voice", "audio")


def test_forms_that_are_not_right(server: Running, folder: Path) -> None:
    refused(
        server.client.post(LIBRARY, data={"name": "anne"}, files={"none": ("", b"")}), 400, "invalid_request", "audio"
    )
    refused(server.client.post(LIBRARY, json={"name": "anne"}), 400, "invalid_request")
    refused(store(server, transcript="x" * 4097), 400, "invalid_request", "transcript")
    refused(store(server, consent="x" * 4097), 400, "invalid_request", "consent")
    assert names(server) == []


def test_what_is_too_large_is_413(server: Running, folder: Path) -> None:
    refused(store(server, file=tone(40.0)), 413, "upload_too_large", "audio")
    assert not folder.exists()


def test_one_voice_too_many(start_server: StartServer) -> None:
    server = start_server(PLUGINS, {"OS_VOICE_LIBRARY_MAX_COUNT": "2"})
    stored(server, "a")
    stored(server, "b")
    assert "2 voices" in refused(store(server, "c"), 400, "voice_library_full")
    stored(server, "b", high(), overwrite="true")
    server.client.delete(f"{LIBRARY}/a")
    stored(server, "c")
    assert names(server) == ["b", "c"]


def test_zero_is_any_number(start_server: StartServer) -> None:
    server = start_server(PLUGINS, {"OS_VOICE_LIBRARY_MAX_COUNT": "0"})
    for number in range(3):
        stored(server, f"v{number}")
    assert len(names(server)) == 3


def test_a_key_is_needed_where_there_is_one(start_server: StartServer) -> None:
    server = start_server(PLUGINS, {"OS_API_KEY": "k"})
    for path in (LIBRARY, f"{LIBRARY}/anne", f"{LIBRARY}/anne/audio"):
        refused(server.client.get(path), 401, "invalid_api_key")
    refused(server.client.delete(f"{LIBRARY}/anne"), 401, "invalid_api_key")
    refused(store(server), 401, "invalid_api_key")
