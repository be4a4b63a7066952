"""Speech in a stored voice, and what becomes of voices that are damaged or replaced meanwhile."""

from __future__ import annotations

import http.client
import json
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.calling import checked, refused, speak, tone
from api.serving import Running, StartServer
from api.voices import (
    CLONE,
    LIBRARY,
    PLUGINS,
    RECORDING,
    as_json,
    assert_sounds,
    clone,
    emptied,
    high,
    names,
    running,
    store,
    stored,
)

server = pytest.fixture(scope="module")(running)
folder = pytest.fixture(emptied)


# Speech in a stored voice


@pytest.mark.parametrize("query", ["", "?stream=false"])
def test_the_stored_voice_reaches_the_engine(server: Running, folder: Path, query: str) -> None:
    stored(server)
    assert_sounds(as_json(server, "anne", query=query))
    assert_sounds(clone(server, "anne"))


def test_a_file_goes_before_the_reference(server: Running, folder: Path) -> None:
    stored(server)
    for response in (
        clone(server, "anne", high()),
        clone(server, "nobody", high()),
        as_json(server, "nobody", reference_audio=b64encode(high()).decode()),
    ):
        assert_sounds(response, 660, 1.2)
        assert response.headers["x-ignored-fields"] == "voice_library_ref"


def test_a_browser_sends_a_file_it_has_not(server: Running, folder: Path) -> None:
    stored(server)
    fields = {"model": "parrot", "input": "Hello.", "response_format": "wav", "voice_library_ref": "anne"}
    parts = [f'--x\r\ncontent-disposition: form-data; name="{key}"\r\n\r\n{text}\r\n' for key, text in fields.items()]
    file = '--x\r\ncontent-disposition: form-data; name="reference_audio"; filename=""\r\n\r\n'
    headers = {"content-type": "multipart/form-data; boundary=x"}
    body = "".join([*parts, file, "\r\n--x--\r\n"]).encode()
    assert_sounds(server.client.post(CLONE, content=body, headers=headers))
    body = "".join([*parts, file, "something\r\n--x--\r\n"]).encode()
    refused(server.client.post(CLONE, content=body, headers=headers), 400, "invalid_request", "reference_audio")


@pytest.mark.parametrize("ref", ["nobody", "../anne", "x" * 4096, "anne\x00", "anne.meta.json"])
def test_a_reference_to_nobody(server: Running, folder: Path, ref: str) -> None:
    stored(server)
    refused(as_json(server, ref), 404, "stored_voice_not_found", "voice_library_ref")
    refused(clone(server, ref), 404, "stored_voice_not_found", "voice_library_ref")


def test_an_empty_reference_is_none(server: Running, folder: Path) -> None:
    assert as_json(server, "").status_code == 200
    refused(clone(server, ""), 400, "invalid_request", "reference_audio")


def test_the_stored_transcript_is_heard_unless_another_is_sent(server: Running, folder: Path) -> None:
    stored(server, transcript="raise")
    refused(as_json(server, "anne"), 400, "feature_not_supported", "clone_transcript")
    refused(clone(server, "anne"), 400, "feature_not_supported", "clone_transcript")
    assert_sounds(as_json(server, "anne", clone_transcript="fine"))
    assert_sounds(clone(server, "anne", transcript="fine"))


def test_a_model_that_cannot_clone(server: Running, folder: Path) -> None:
    stored(server)
    response = as_json(server, "anne", model="echo-voice", voice="sine")
    assert response.status_code == 200
    assert response.headers["x-ignored-fields"] == "voice_library_ref"
    refused(clone(server, "anne", model="echo-voice"), 400, "feature_not_supported", "model")


def test_a_voice_too_short_to_clone_is_said_so(server: Running, folder: Path) -> None:
    stored(server, "short", tone(0.3))
    assert "1 s" in refused(as_json(server, "short"), 400, "invalid_audio", "voice_library_ref")


# Faults


def damage(folder: Path, how: str) -> None:
    audio, meta = folder / "anne.audio.wav", folder / "anne.meta.json"
    known = json.loads(meta.read_text())
    match how:
        case "no recording":
            audio.unlink()
        case "no description":
            meta.unlink()
        case "cut recording":
            audio.write_bytes(audio.read_bytes()[:-100])
        case "empty recording":
            audio.write_bytes(b"")
        case "recording is a folder":
            audio.unlink()
            audio.mkdir()
        case "recording is a link":
            audio.rename(folder / "elsewhere")
            audio.symlink_to(folder / "elsewhere")
        case "empty description":
            meta.write_bytes(b"")
        case "cut description":
            meta.write_bytes(meta.read_bytes()[:20])
        case "description is deep":
            meta.write_text(json.dumps(known)[:-1] + ', "more": ' + "[" * 100_000)
        case "description is large":
            meta.write_text(json.dumps({**known, "consent": "x" * (1 << 20)}))
        case "description is no text":
            meta.write_bytes(b'{"name": "\xff\xfe"}')
        case "description of another":
            meta.write_text(json.dumps({**known, "name": "zoe"}))
        case "description lacks a field":
            meta.write_text(json.dumps({"name": "anne"}))
        case "description is a folder":
            meta.unlink()
            meta.mkdir()


@pytest.mark.parametrize(
    "how",
    [
        "no recording", "no description", "cut recording", "empty recording", "recording is a folder",
        "recording is a link", "empty description", "cut description", "description is deep", "description is large",
        "description is no text", "description of another", "description lacks a field", "description is a folder",
    ],
)  # fmt: skip
def test_a_damaged_voice_is_not_there(server: Running, folder: Path, how: str) -> None:
    stored(server)
    stored(server, "zoe")
    damage(folder, how)
    assert names(server) == ["zoe"]
    refused(server.client.get(f"{LIBRARY}/anne"), 404, "stored_voice_not_found")
    refused(server.client.get(f"{LIBRARY}/anne/audio"), 404, "stored_voice_not_found")
    refused(clone(server, "anne"), 404, "stored_voice_not_found")
    if "folder" in how:
        return
    assert stored(server)["name"] == "anne", "its name is free"
    assert_sounds(clone(server, "anne"))
    damage(folder, how)
    refused(server.client.delete(f"{LIBRARY}/anne"), 404, "stored_voice_not_found")
    assert not list(folder.glob("anne*")), "its remains are gone"


def test_another_recording_of_the_same_length_is_not_the_voice(server: Running, folder: Path) -> None:
    stored(server)
    (folder / "anne.audio.wav").write_bytes(tone(1.5, rate=22_050, amplitude=0.1))
    refused(server.client.get(f"{LIBRARY}/anne/audio"), 404, "stored_voice_not_found")
    refused(as_json(server, "anne"), 404, "stored_voice_not_found")


def test_of_many_who_take_a_name_at_once_one_has_it(start_server: StartServer, tmp_path: Path) -> None:
    """Two servers on one folder, which is how one server hands over to the next."""
    environ = {"OS_VOICE_LIBRARY_PATH": str(tmp_path / "voices")}
    servers = [start_server(PLUGINS, environ) for _ in range(2)]
    files = [tone(1.0 + number / 10) for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda number: store(servers[number % 2], "anne", files[number]), range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    won = next(number for number, answer in enumerate(answers) if answer.status_code == 201)
    for server in servers:
        assert server.client.get(f"{LIBRARY}/anne/audio").content == files[won]


def test_whoever_reads_while_others_replace_hears_one_voice(server: Running, folder: Path) -> None:
    files = [tone(1.0 + number / 10) for number in range(6)]
    stored(server)

    def read(_: int) -> bytes:
        answer = checked(server.client.get(f"{LIBRARY}/anne/audio"))
        assert answer.status_code == 200
        return answer.content

    with ThreadPoolExecutor(8) as threads:
        replacing = [threads.submit(stored, server, "anne", file, overwrite="true") for file in files]
        heard = set(threads.map(read, range(100)))
        for each in replacing:
            each.result()
    assert heard <= {RECORDING, *files}
    assert len(list(folder.iterdir())) == 2
    assert server.client.get(f"{LIBRARY}/anne").json()["size_bytes"] == len(read(0))


def test_a_folder_that_cannot_be_used(start_server: StartServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    server = start_server(PLUGINS, {"OS_VOICE_LIBRARY_PATH": str(tmp_path / "file" / "voices")})
    refused(store(server), 503, "unavailable")
    refused(server.client.get(LIBRARY), 503, "unavailable")
    refused(as_json(server, "anne"), 503, "unavailable")
    assert speak(server).status_code == 200, "the rest goes on"


def test_who_leaves_while_sending_leaves_nothing(server: Running, folder: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest("POST", LIBRARY)
    connection.putheader("content-type", "multipart/form-data; boundary=x")
    connection.putheader("content-length", "500000")
    connection.endheaders()
    head = b'--x\r\ncontent-disposition: form-data; name="audio"; filename="a"\r\n\r\n'
    connection.send(head + RECORDING[:30_000])
    connection.close()
    server.await_quiet()
    assert not folder.exists()
