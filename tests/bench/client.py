"""A client that adds next to nothing: the standard library's, one kept connection, bodies made beforehand."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

BOUNDARY = "an-end-of-a-part"
BLOCK_BYTES = 1 << 18
TIMEOUT_S = 1200.0
IDLE_S = 10.0


class Timing(Struct, frozen=True, kw_only=True):
    """``Server-Timing``, in milliseconds."""

    queue: float = 0.0
    load: float = 0.0
    decode: float = 0.0
    engine: float = 0.0
    encode: float = 0.0


class Answer(Struct, frozen=True, kw_only=True):
    """One answer and when its bytes came, in seconds from before the request was sent."""

    status: int
    first_s: float
    """First byte of the body."""
    total_s: float
    timing: Timing
    body: bytes

    @property
    def overhead_ms(self) -> float:
        """All that was not the engine's own steps."""
        return self.total_s * 1000 - self.timing.engine

    @property
    def first_overhead_ms(self) -> float:
        """What lay between the engine's first item and the first byte; right for streamed answers."""
        return self.first_s * 1000 - self.timing.engine


class Upload(Struct, frozen=True, kw_only=True):
    """A multipart body in memory."""

    body: bytes

    @classmethod
    def of(cls, path: Path, **fields: str) -> Upload:
        """Make the body that sends a file with some text fields."""
        head, tail = frame(path.name, fields)
        return cls(body=head + path.read_bytes() + tail)


class Client:
    """One connection to one server; used by one thread."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        self._connection.connect()
        self._used_at = time.monotonic()

    def close(self) -> None:
        self._connection.close()

    def give_up_after(self, silence_s: float) -> None:
        """Raise ``TimeoutError`` when nothing is heard for so long."""
        self._connection.sock.settimeout(silence_s)

    def transcribe(self, upload: Upload) -> Answer:
        """Send an upload made beforehand."""
        return self._ask("/v1/audio/transcriptions", upload.body, form_headers(len(upload.body)))

    def transcribe_file(self, path: Path, **fields: str) -> Answer:
        """Send a file block by block, so that a large one is never in memory."""
        head, tail = frame(path.name, fields)
        size = len(head) + path.stat().st_size + len(tail)
        return self._ask("/v1/audio/transcriptions", _blocks(head, path, tail), form_headers(size))

    def speak(self, text: str, format: str, **fields: float | str) -> Answer:
        """Ask for speech as a stream; noise is off, so that equal texts give equal lengths."""
        body = speech_body(text, format, **fields)
        return self._ask("/v1/audio/speech", body, {"content-type": "application/json"})

    def post(self, path: str, fields: Mapping[str, str]) -> Answer:
        """Post a small JSON body."""
        return self._ask(path, msgspec.json.encode(dict(fields)), {"content-type": "application/json"})

    def _ask(self, path: str, body: bytes | Iterator[bytes], headers: Mapping[str, str]) -> Answer:
        if time.monotonic() - self._used_at > IDLE_S:
            # The server ends connections that are idle for longer, and this is not what we measure.
            self._connection.close()
            self._connection.connect()
        since = time.perf_counter()
        self._connection.request("POST", path, body, dict(headers))
        response = self._connection.getresponse()
        first = response.read(1)
        first_s = time.perf_counter() - since
        rest = response.read()
        total_s = time.perf_counter() - since
        self._used_at = time.monotonic()
        answer = Answer(
            status=response.status,
            first_s=first_s,
            total_s=total_s,
            timing=parse_timing(response.headers.get("server-timing", "")),
            body=first + rest,
        )
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {answer.body[:300].decode(errors='replace')}")
        return answer


def speech_body(text: str, format: str, **fields: float | str) -> bytes:
    """Give the JSON that asks for speech without noise."""
    return msgspec.json.encode(
        {"input": text, "response_format": format, "noise_scale": 0, "noise_w_scale": 0, **fields}
    )


def parse_timing(header: str) -> Timing:
    """Read a ``Server-Timing`` header."""
    found = {name: float(ms) for name, ms in re.findall(r"(\w+);dur=([\d.]+)", header)}
    return msgspec.convert(found, Timing)


def form_headers(size_bytes: int) -> dict[str, str]:
    return {
        "content-type": f"multipart/form-data; boundary={BOUNDARY}",
        "content-length": str(size_bytes),
    }


def frame(name: str, fields: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Give what goes before and after a file's bytes."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
        for field, value in fields.items()
    ]
    parts.append(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return "".join(parts).encode(), f"\r\n--{BOUNDARY}--\r\n".encode()


def _blocks(head: bytes, path: Path, tail: bytes) -> Iterator[bytes]:
    yield head
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block
    yield tail
