"""A hub on this machine: the calls of the hub's API that a fetch makes, over files in memory, with faults on demand."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

LARGE_BYTES = 1000
"""Files from this size on are kept as the hub keeps large ones, with a SHA-256."""


class Hub(ThreadingHTTPServer):
    """Serves the same files as every repository it is asked for."""

    daemon_threads = True

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.files = dict(files)
        self.refusal: tuple[int, str] | None = None
        """Status and the hub's error code, given to everything."""
        self.cut_at: int | None = None
        """Bytes after which the next longer body ends too soon."""
        self.stalls_at: int | None = None
        """Bytes after which the next longer body waits for ``going_on``."""
        self.stalls_always = False
        self.stalled = threading.Event()
        self.going_on = threading.Event()
        self.pause_s = 0.0
        """Taken between the parts of a body."""
        self.withheld: str | None = None
        """File that is refused although it is listed."""
        self.damaged: str | None = None
        """File that is sent with one bit wrong."""
        self.claims: dict[str, int] = {}
        """Sizes that are listed in place of the true ones."""
        self.gets: list[tuple[str, str | None]] = []
        """Path and Range of each GET."""
        self.asked = 0
        """Requests of any kind."""
        self.revisions: set[str] = set()
        self.tokens: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(files: Mapping[str, bytes]) -> Iterator[Hub]:
    """Run a hub on a free port until the block ends."""
    made = Hub(files)
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield made
    finally:
        made.going_on.set()
        made.shutdown()
        thread.join()
        made.server_close()


def blob_id(data: bytes) -> str:
    """Give git's id of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Request(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self._refused():
            return
        self.server.revisions.add(self.path.rpartition("/")[2])
        wanted = parse_qs(body)["paths"]
        found = [self._entry(path, data) for path, data in self.server.files.items() if path in wanted]
        self._answer(200, json.dumps(found).encode(), {"Content-Type": "application/json"}, faults=False)

    def _entry(self, path: str, data: bytes) -> dict[str, Any]:
        size = self.server.claims.get(path, len(data))
        entry = {"type": "file", "path": path, "size": size, "oid": blob_id(data)}
        if len(data) >= LARGE_BYTES:
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": size, "pointerSize": 130}
        return entry

    def do_HEAD(self) -> None:
        self._file(body=False)

    def do_GET(self) -> None:
        self._file(body=True)

    def _file(self, *, body: bool) -> None:
        if self._refused():
            return
        revision, _, path = self.path.partition("?")[0].partition("/resolve/")[2].partition("/")
        if revision:
            self.server.revisions.add(revision)
        data = self.server.files.get(path)
        if data is None or path == self.server.withheld:
            return self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        commit = revision if len(revision) == 40 else "0" * 40
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": commit}
        if path == self.server.damaged:
            data = bytes([data[0] ^ 1]) + data[1:]
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
        self.server.asked += 1
        if token := self.headers.get("Authorization"):
            self.server.tokens.add(token)
        if self.server.refusal is None:
            return False
        status, code = self.server.refusal
        self._answer(status, b"{}", {"X-Error-Code": code})
        return True

    def _answer(
        self, status: int, data: bytes, headers: Mapping[str, str], *, body: bool = True, faults: bool = True
    ) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body and self.command != "HEAD":
            self._send(data) if faults else self.wfile.write(data)

    def _send(self, data: bytes) -> None:
        server = self.server
        if server.cut_at is not None and len(data) > server.cut_at:
            self.wfile.write(data[: server.cut_at])
            server.cut_at, self.close_connection = None, True
            return
        if server.stalls_at is not None and len(data) > server.stalls_at:
            self.wfile.write(data[: server.stalls_at])
            self.wfile.flush()
            server.stalled.set()
            server.going_on.wait(30)
            self.close_connection = True
            return
        step = len(data) if not server.pause_s else 20_000
        for start in range(0, len(data), step or 1):
            self.wfile.write(data[start : start + step])
            if server.pause_s:
                server.going_on.wait(server.pause_s)

    def log_message(self, format: str, *args: Any) -> None:
        pass
