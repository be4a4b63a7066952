"""Fetching from a hub, played by a server on this machine: whole, gone on with, or clearly refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech_core import hub

pytest.importorskip("huggingface_hub")
REPO = "someone/model"
FILES = {"config.json": b"{}", "model.bin": os.urandom(300_000), "sub/deep.json": b"[]"}
COMMIT = "0" * 40

FETCH = """
import json, sys, threading
from pathlib import Path
from open_speech_core import errors, hub
from open_speech_core.providers import Context
hub.PROGRESS_EVERY_S = 0.01
seen = []
context = Context(progress=lambda done, total: seen.append((done, total)))
if "cancelled" in sys.argv:
    context.cancelled.set()
try:
    files, required = (words.split(",") for words in sys.argv[3:5])
    hub.fetch(sys.argv[2], files, Path(sys.argv[1]), context, required=required)
    print(json.dumps({"seen": seen}))
except errors.OpenSpeechError as error:
    print(json.dumps({"code": error.code, "message": error.message}))
"""


class Hub(ThreadingHTTPServer):
    """The two calls of the hub's API that a fetch makes, over files in memory."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.files = dict(FILES)
        self.refusal: tuple[int, str] | None = None
        """Status and the hub's error code, given to everything."""
        self.cut_at: int | None = None
        """Bytes after which the next longer body ends too soon."""
        self.withheld: str | None = None
        """File that is refused although it is listed."""
        self.gets: list[tuple[str, str | None]] = []
        """Path and Range of each GET."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Request(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self._refused():
            return
        wanted = parse_qs(body)["paths"]
        found = [
            {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for path, data in self.server.files.items()
            if path in wanted
        ]
        self._answer(200, json.dumps(found).encode(), {"Content-Type": "application/json"})

    def do_HEAD(self) -> None:
        self._file(body=False)

    def do_GET(self) -> None:
        self._file(body=True)

    def _file(self, *, body: bool) -> None:
        if self._refused():
            return
        path = self.path.partition("?")[0].partition(f"/resolve/{COMMIT}/")[2]
        path = path or self.path.partition("?")[0].partition("/resolve/main/")[2]
        data = self.server.files.get(path)
        if data is None or path == self.server.withheld:
            return self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
        asked = self.headers.get("Range")
        status = 200
        if body:
            self.server.gets.append((path, asked))
            if asked:
                first = int(asked.removeprefix("bytes=").partition("-")[0])
                headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
                data, status = data[first:], 206
        self._answer(status, data, headers, body=body)

    def _refused(self) -> bool:
        if self.server.refusal is None:
            return False
        status, code = self.server.refusal
        self._answer(status, b"{}", {"X-Error-Code": code})
        return True

    def _answer(self, status: int, data: bytes, headers: Mapping[str, str], *, body: bool = True) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if not body or self.command == "HEAD":
            return
        if self.server.cut_at is not None and len(data) > self.server.cut_at:
            self.wfile.write(data[: self.server.cut_at])
            self.server.cut_at, self.close_connection = None, True
            return
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Hub]:
    made = Hub()
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def fetch(
    url: str,
    folder: Path,
    *words: str,
    files: str = "config.json,model.bin,absent",
    required: str = "model.bin",
    **environ: str,
) -> dict[str, Any]:
    """Fetch in a process of its own: the client reads its environment when it is imported."""
    done = subprocess.run(
        [sys.executable, "-c", FETCH, str(folder), REPO, files, required, *words],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder.parent),
            "HF_HOME": str(folder.parent / "hf"),
            "HF_ENDPOINT": url,
            "HF_HUB_ETAG_TIMEOUT": "2",
            **environ,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


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


def test_no_hub_is_a_clear_error(tmp_path: Path) -> None:
    answer = fetch("http://127.0.0.1:9", tmp_path / "model")
    assert answer["code"] == "download_failed"
    assert "check the connection" in answer["message"]


def test_offline_mode_is_named(server: Hub, tmp_path: Path) -> None:
    answer = fetch(server.url, tmp_path / "model", HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set" in answer["message"]


def test_a_cancel_stops_it_between_files(server: Hub, tmp_path: Path) -> None:
    assert fetch(server.url, tmp_path / "model", "cancelled")["code"] == "cancelled"
    assert server.gets == []


def test_whisper_and_piper_download_into_their_folders(server: Hub, tmp_path: Path) -> None:
    voice = "de/de_DE/thorsten/high/de_DE-thorsten-high.onnx"
    server.files = {
        "config.json": b"{}", "model.bin": b"w" * 1000, "tokenizer.json": b"{}", "vocabulary.txt": b"v",
        "README.md": b"no", voice: b"v" * 1000, f"{voice}.json": b'{"audio": {"sample_rate": 22050}}',
    }  # fmt: skip
    code = """
import sys
from pathlib import Path
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
"""
    pytest.importorskip("open_speech_whisper")
    pytest.importorskip("open_speech_piper")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "home")],
        env={**environ, "HF_ENDPOINT": server.url}, check=True, timeout=60,
    )  # fmt: skip
    found = {path.relative_to(tmp_path / "home").as_posix() for path in (tmp_path / "home").rglob("*.*")}
    assert {path for path in found if (tmp_path / "home" / path).is_file()} == {
        "whisper/someone--model/config.json",
        "whisper/someone--model/model.bin",
        "whisper/someone--model/tokenizer.json",
        "whisper/someone--model/vocabulary.txt",
        "piper/de_DE-thorsten-high.onnx",
        "piper/de_DE-thorsten-high.onnx.json",
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
