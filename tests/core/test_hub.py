"""Fetching from a hub, played by a server on this machine: whole, gone on with, or clearly refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopback_hub import Hub, serving
from open_speech_core import hub
from open_speech_core.hub import fetching

pytest.importorskip("huggingface_hub")
REPO = "someone/model"
FILES = {"config.json": b"{}", "model.bin": os.urandom(300_000), "sub/deep.json": b"[]"}
PINNED = "1" * 40

FETCH = """
import json, os, sys, threading
from pathlib import Path
from open_speech_core import errors, hub
from open_speech_core.hub import fetching
from open_speech_core.providers import Context
fetching.PROGRESS_EVERY_S = 0.01
seen = []
context = Context(progress=lambda done, total: seen.append((done, total)))
if "cancelled" in sys.argv:
    context.cancel()
try:
    files, required = (words.split(",") for words in sys.argv[3:5])
    revision = os.environ.get("REVISION", "")
    hub.fetch(sys.argv[2], files, Path(sys.argv[1]), context, required=required, revision=revision)
    print(json.dumps({"seen": seen}))
except errors.OpenSpeechError as error:
    print(json.dumps({"code": error.code, "message": error.message}))
"""


@pytest.fixture
def server() -> Iterator[Hub]:
    with serving(FILES) as made:
        yield made


def fetch(
    url: str,
    folder: Path,
    *words: str,
    files: str = "config.json,model.bin,absent",
    required: str = "model.bin",
    **environ: str,
) -> dict[str, Any]:
    """Fetch in a process of its own: the client reads its environment when it is imported."""
    process = begin(url, folder, *words, files=files, required=required, **environ)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return json.loads(said.splitlines()[-1])  # type: ignore[no-any-return]


def begin(
    url: str, folder: Path, *words: str, files: str = "model.bin", required: str = "model.bin", **environ: str
) -> subprocess.Popen[str]:
    own = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder.parent),
        "HF_HOME": str(folder.parent / "hf"),
        "HF_ENDPOINT": url,
        "HF_HUB_ETAG_TIMEOUT": "2",
        "HF_HUB_DOWNLOAD_TIMEOUT": "2",
    }
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, str(folder), REPO, files, required, *words],
        env={**own, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_files_arrive_whole_and_progress_is_told(server: Hub, tmp_path: Path) -> None:
    answer = fetch(server.url, tmp_path / "model", files="config.json,model.bin,sub/deep.json,absent")
    total = sum(map(len, FILES.values()))
    assert answer["seen"][-1] == [total, total]
    assert all(done <= of == total for done, of in answer["seen"])
    for name, data in FILES.items():
        assert (tmp_path / "model" / name).read_bytes() == data
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["config.json", "model.bin", "sub"]


def test_a_connection_that_breaks_is_tried_again(server: Hub, tmp_path: Path) -> None:
    server.cut_at = 100_000
    fetch(server.url, tmp_path / "model", files="model.bin")
    assert [path for path, _ in server.gets] == ["model.bin", "model.bin"]
    assert (tmp_path / "model" / "model.bin").read_bytes() == FILES["model.bin"]


def test_a_download_cut_short_goes_on_from_there(server: Hub, tmp_path: Path) -> None:
    server.withheld = "model.bin"
    assert fetch(server.url, tmp_path / "model")["code"] == "download_failed"
    assert [path for path, _ in server.gets] == ["config.json"]
    server.withheld = None
    fetch(server.url, tmp_path / "model")
    assert [path for path, _ in server.gets] == ["config.json", "model.bin"]


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ((404, "RepoNotFound"), "is not on the hub"),
        ((403, "GatedRepo"), "is gated: accept its terms"),
        ((400, ""), "could not be downloaded"),
    ],
)
def test_refusals_are_explained(server: Hub, tmp_path: Path, refusal: tuple[int, str], said: str) -> None:
    server.refusal = refusal
    answer = fetch(server.url, tmp_path / "model")
    assert answer["code"] == "download_failed"
    assert said in answer["message"]
    assert str(tmp_path) not in answer["message"]
    assert server.url not in answer["message"]


def test_a_repository_without_what_is_required_is_refused(server: Hub, tmp_path: Path) -> None:
    answer = fetch(server.url, tmp_path / "model", required="model.bin,tokenizer.json", files="model.bin")
    assert answer["code"] == "download_failed"
    assert "has no tokenizer.json" in answer["message"]
    assert server.gets == []


CLIENTS_BUFFER = 10 << 20
"""The hub's client writes a file in pieces of this size; what is under way of one is lost with the process."""


@pytest.mark.parametrize("at", [1, CLIENTS_BUFFER - 1, 2 * CLIENTS_BUFFER + 1])
def test_a_download_that_was_killed_goes_on_from_there(server: Hub, tmp_path: Path, at: int) -> None:
    folder = tmp_path / "model"
    server.files["model.bin"] = os.urandom(CLIENTS_BUFFER) * 2 + os.urandom(1000)
    server.stalls_at = at
    killed = begin(server.url, folder)
    assert server.stalled.wait(20)
    kept = at // CLIENTS_BUFFER * CLIENTS_BUFFER
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and (fetching._size(folder) < kept):
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (folder / "model.bin").exists(), "nothing looks whole"
    server.stalls_at = None
    server.going_on.set()
    fetch(server.url, folder, files="model.bin")
    assert server.gets == [("model.bin", None), ("model.bin", f"bytes={kept}-" if kept else None)]
    assert (folder / "model.bin").read_bytes() == server.files["model.bin"]


@pytest.mark.parametrize("name", ["model.bin", "config.json"])
def test_what_came_damaged_is_removed_and_refused(server: Hub, tmp_path: Path, name: str) -> None:
    server.damaged = name
    answer = fetch(server.url, tmp_path / "model", files="config.json,model.bin")
    assert answer["code"] == "download_failed"
    assert f"{name} of 'someone/model' came damaged" in answer["message"]
    assert not (tmp_path / "model" / name).exists()
    server.damaged = None
    fetch(server.url, tmp_path / "model", files="config.json,model.bin")
    for each in ("config.json", "model.bin"):
        assert (tmp_path / "model" / each).read_bytes() == FILES[each]


def test_a_hub_that_stalls_is_given_up(server: Hub, tmp_path: Path) -> None:
    server.stalls_at, server.stalls_always = 1000, True
    answer = fetch(server.url, tmp_path / "model", HF_HUB_DOWNLOAD_TIMEOUT="1")
    server.going_on.set()
    assert answer["code"] == "download_failed"
    assert not (tmp_path / "model" / "model.bin").exists()


def test_the_commit_that_is_pinned_is_fetched(server: Hub, tmp_path: Path) -> None:
    fetch(server.url, tmp_path / "model", REVISION=PINNED)
    assert server.revisions == {PINNED}
    server.revisions.clear()
    fetch(server.url, tmp_path / "other")
    assert server.revisions == {"main"}


def test_a_token_goes_to_the_hub_and_into_no_message(server: Hub, tmp_path: Path) -> None:
    fetch(server.url, tmp_path / "model", HF_TOKEN="hf_secret")
    assert server.tokens == {"Bearer hf_secret"}
    server.refusal = (401, "")
    assert "hf_secret" not in fetch(server.url, tmp_path / "other", HF_TOKEN="hf_secret")["message"]


def test_what_would_not_fit_is_not_begun(server: Hub, tmp_path: Path) -> None:
    server.claims = {"model.bin": shutil.disk_usage(tmp_path).total * 2}
    answer = fetch(server.url, tmp_path / "model")
    assert answer["code"] == "storage_full"
    assert "are missing" in answer["message"]
    assert server.gets == []


def test_a_full_disk_leaves_nothing_that_looks_whole(server: Hub, tmp_path: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no small file system can be mounted here")
    try:
        server.claims = {"model.bin": 1000}
        answer = fetch(server.url, tmp_path / "model", HF_HOME="/nonexistent")
        assert answer["code"] == "storage_full"
        assert not (tmp_path / "model" / "model.bin").exists()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_progress_is_told_while_folders_vanish(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "file").write_bytes(b"12")
    removing = subprocess.Popen(["rm", "-r", *(str(tmp_path / str(number)) for number in range(300))])
    while removing.poll() is None:
        assert 0 <= fetching._size(tmp_path) <= 600


def test_no_hub_is_a_clear_error(tmp_path: Path) -> None:
    answer = fetch("http://127.0.0.1:9", tmp_path / "model")
    assert answer["code"] == "download_failed"
    assert "check the connection" in answer["message"]


def test_offline_mode_is_named(server: Hub, tmp_path: Path) -> None:
    answer = fetch(server.url, tmp_path / "model", HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set" in answer["message"]
    assert server.asked == 0


def test_a_cancel_stops_it_between_files(server: Hub, tmp_path: Path) -> None:
    assert fetch(server.url, tmp_path / "model", "cancelled")["code"] == "cancelled"
    assert server.gets == []


def test_whisper_and_piper_download_into_their_folders(server: Hub, tmp_path: Path) -> None:
    voice = "de/de_DE/thorsten/high/de_DE-thorsten-high.onnx"
    server.files = {
        "config.json": b"{}", "model.bin": b"w" * 1000, "tokenizer.json": b"{}", "vocabulary.txt": b"v",
        "README.md": b"no", "voices.json": json.dumps({"de_DE-thorsten-high": {}, "de_DE-thorsten-low": {}}).encode(),
        voice: b"v" * 1000, f"{voice}.json": b'{"audio": {"sample_rate": 22050}}',
    }  # fmt: skip
    code = """
import sys
from pathlib import Path
from open_speech_core.errors import DownloadFailed
from open_speech_core.providers import Context
from open_speech_piper.provider import PiperSynthesizer
from open_speech_whisper.provider import WhisperTranscriber
for cls, id in ((WhisperTranscriber, "someone/model"), (PiperSynthesizer, "de_DE-thorsten-high")):
    provider = cls(cls.Options(), Path(sys.argv[1]) / cls.info.name)
    model = provider.resolve(id)
    assert not provider.artifacts(model).complete
    provider.download(model, Context())
    assert provider.artifacts(model).complete
    provider.download(model, Context())
try:
    provider.download(provider.resolve("de_DE-torsten-high"), Context())
except DownloadFailed as error:
    assert "it has de_DE-thorsten-high, de_DE-thorsten-low" in error.message, error.message
else:
    raise AssertionError("a voice that the collection has not was downloaded")
"""
    pytest.importorskip("open_speech_whisper")
    pytest.importorskip("open_speech_piper")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "home")],
        env={**environ, "HF_ENDPOINT": server.url}, check=True, timeout=60,
    )  # fmt: skip
    newest = "main"  # of what nobody listed
    assert server.revisions == {newest, "c10ece1aade47bb51c153c893d14e5bf8e5b7117"}
    found = {path.relative_to(tmp_path / "home").as_posix() for path in (tmp_path / "home").rglob("*.*")}
    assert {path for path in found if (tmp_path / "home" / path).is_file()} == {
        "whisper/someone--model/config.json",
        "whisper/someone--model/model.bin",
        "whisper/someone--model/tokenizer.json",
        "whisper/someone--model/vocabulary.txt",
        "piper/de_DE-thorsten-high.onnx",
        "piper/de_DE-thorsten-high.onnx.json",
        "piper/voices.json",
    }
    assert not [path for path in found if path.endswith(".part")]


def test_the_cache_is_where_the_client_has_it(tmp_path: Path) -> None:
    assert hub.cache_folder({"HF_HUB_CACHE": "/c", "HF_HOME": "/h"}) == Path("/c")
    assert hub.cache_folder({"HF_HOME": "/h"}) == Path("/h/hub")
    assert hub.cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/huggingface/hub")
    assert hub.cache_folder({}) == Path.home() / ".cache/huggingface/hub"


def test_the_snapshot_of_main_comes_first(tmp_path: Path) -> None:
    repo = tmp_path / "models--someone--model"
    assert hub.cached(tmp_path, REPO, ["model.bin"]) is None
    for name in ("aaa", "bbb"):
        (repo / "snapshots" / name).mkdir(parents=True)
        (repo / "snapshots" / name / "model.bin").write_bytes(b"")
    assert hub.cached(tmp_path, REPO, ["model.bin"]) == repo / "snapshots" / "aaa"
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("bbb\n")
    assert hub.cached(tmp_path, REPO, ["model.bin"]) == repo / "snapshots" / "bbb"
    assert hub.cached(tmp_path, REPO, ["model.bin", "config.json"]) is None


@given(st.text(max_size=40) | st.from_regex(r"[\w.-]{1,12}/[\w.-]{1,12}", fullmatch=True))
def test_an_id_never_leads_out_of_a_folder(id: str) -> None:
    if not hub.is_repo_id(id):
        return
    name = hub.folder_name(id)
    assert name == Path(name).name
    assert not name.startswith((".", "-"))
    assert name.replace("--", "/") == id
