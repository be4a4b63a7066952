"""The outermost layer: every route is closed unless it is in the one set of open ones.

Decided by the protocol's scope and the exact path, never by a header. What is let in gets a request id; every
answer carries it, and the time it took.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import msgspec
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from open_speech_api.settings import Settings
from open_speech_api.wire.errors import Envelope, ErrorBody
from open_speech_core.types import Event

from .draining import drain

log = logging.getLogger("open_speech.requests")

Headers: TypeAlias = "list[tuple[bytes, bytes]]"

OPEN_PATHS = frozenset({"/", "/health", "/health/ready", "/openapi.json", "/docs", "/docs/", "/web", "/web/"})
"""Paths that need no key. Everything that is not here, known or unknown, is closed."""
OPEN_FOLDERS = ("/web/", "/docs/")
"""Static files below these need no key either; a path with anything odd in it is no static file."""

NO_KEY = ErrorBody(
    message="Incorrect or missing API key. Send it as: Authorization: Bearer KEY",
    type="authentication_error",
    code="invalid_api_key",
)

UPLOAD_TOO_LARGE = 413
OPEN_METHODS = frozenset({"GET", "HEAD"})


def is_open(scope_type: str, method: str, path: str) -> bool:
    """Say whether a request may pass without a key."""
    if scope_type != "http":
        return False
    if method == "OPTIONS":
        # Answered by the router itself from its table of methods; no handler runs.
        return True
    if method not in OPEN_METHODS:
        return False
    return path in OPEN_PATHS or _is_static(path)


def _is_static(path: str) -> bool:
    plain = all(part not in ("", ".", "..") for part in path.split("/")[1:]) and "\\" not in path and "%" not in path
    return plain and path.startswith(OPEN_FOLDERS)


class Gate:
    """Checks the key and numbers the request before any of the application runs."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        observe: Callable[[Event], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._app = app
        self._observe = observe
        self._keys = settings.server.api_keys
        self._trust_proxy = settings.server.trust_proxy
        self._origins = frozenset(settings.server.cors_origins)
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw: dict[str, Any] = cast("dict[str, Any]", scope)
        if raw["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        state = raw.setdefault("state", {})
        state["request_id"] = f"req_{uuid.uuid4().hex}"
        state["caller"] = caller_of(raw, self._trust_proxy)
        answer = Numbered(send, raw, self._clock)
        method = raw.get("method", "")
        if self._keys and not is_open(raw["type"], method, raw["path"]):
            key = bearer(raw["headers"])
            if not self._known(key):
                await refuse(raw, receive, answer, cors_headers(raw["headers"], self._origins))
                return
            state["caller"] = hashlib.sha256(key).hexdigest()[:16]
        try:
            await self._app(scope, receive, answer)
        finally:
            # Cut off while it sends, the framework leaves the stream to the garbage collector.
            if (stream := state.get("stream")) is not None:
                await stream.aclose()
            self._finish(raw, answer)

    def _finish(self, scope: dict[str, Any], answer: Numbered) -> None:
        """Write the request's one line, and tell the observers."""
        state, seconds = scope["state"], answer.elapsed_ms() / 1000
        model, audio_s, request_id = state.get("model"), state.get("audio_s"), state["request_id"]
        log.info(
            "%s %s %s model=%s audio=%s wall=%.3fs id=%s",
            scope.get("method", scope["type"]),
            scope["path"],
            answer.status or "aborted",
            model or "-",
            "-" if audio_s is None else f"{audio_s:.1f}s",
            seconds,
            request_id,
        )
        self._observe(
            Event(
                route=scope["path"],
                model=model,
                status=answer.status,
                seconds=seconds,
                audio_s=audio_s,
                request_id=request_id,
            )
        )

    def _known(self, key: bytes) -> bool:
        """Compare with every key, in constant time."""
        found = False
        for known in self._keys:
            found |= hmac.compare_digest(known, key)
        return found


class Numbered:
    """Adds the request id and the time taken to the answer's headers, and remembers its status."""

    def __init__(self, send: Send, scope: dict[str, Any], clock: Callable[[], float]) -> None:
        self.status = 0
        self._one_at_a_time = str(scope.get("http_version", "1.1")).startswith("1")
        self._send = send
        self._id = scope["state"]["request_id"].encode()
        self._clock = clock
        self._since = clock()

    def elapsed_ms(self) -> float:
        return (self._clock() - self._since) * 1000

    async def __call__(self, message: Message) -> None:
        raw: dict[str, Any] = cast("dict[str, Any]", message)
        if raw["type"] == "http.response.start":
            self.status = raw["status"]
            raw["headers"] = [
                *raw["headers"],
                (b"x-request-id", self._id),
                (b"openai-processing-ms", b"%d" % self.elapsed_ms()),
                (b"server-timing", b"total;dur=%.1f" % self.elapsed_ms()),
            ]
            if self.status == UPLOAD_TOO_LARGE and self._one_at_a_time:
                # The rest of the body was not read, so the connection cannot be used again.
                raw["headers"].append((b"connection", b"close"))
        await self._send(message)


def bearer(headers: Headers) -> bytes:
    """Take the key of an ``Authorization: Bearer`` header as bytes; empty when there is none."""
    for name, value in headers:
        if name.lower() == b"authorization":
            scheme, _, key = bytes(value).partition(b" ")
            if scheme.lower() == b"bearer":
                return key.strip()
    return b""


def cors_headers(headers: Headers, origins: frozenset[str]) -> Headers:
    """Let a page of an allowed origin read a refusal, which the application behind the gate never sees."""
    if "*" in origins:
        return [(b"access-control-allow-origin", b"*")]
    for name, value in headers:
        if name.lower() == b"origin" and bytes(value).decode("latin-1") in origins:
            return [(b"access-control-allow-origin", bytes(value)), (b"vary", b"Origin")]
    return []


async def refuse(
    scope: dict[str, Any], receive: Receive, send: Send | Numbered, further: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    """Answer 401, before an upgrade too. What is still being sent is read first, and forgotten."""
    if scope["type"] == "websocket":
        await send(cast("Message", {"type": "websocket.close", "code": 4401, "reason": "unauthorized"}))
        return
    await drain(receive)
    body = msgspec.json.encode(Envelope(error=NO_KEY))
    headers: Headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"www-authenticate", b"Bearer"),
        *further,
    ]
    await send(cast("Message", {"type": "http.response.start", "status": 401, "headers": headers}))
    await send(cast("Message", {"type": "http.response.body", "body": body, "more_body": False}))


def caller_of(scope: dict[str, Any], trust_proxy: bool) -> str:
    """Give the address that a caller without a key is known by.

    Behind a trusted proxy that is the last entry of ``X-Forwarded-For``, the one the proxy itself wrote.
    """
    if trust_proxy:
        sent = [bytes(value) for name, value in scope["headers"] if name.lower() == b"x-forwarded-for"]
        if sent and (last := sent[-1].rpartition(b",")[2].strip()):
            return last.decode("latin-1")
    client = scope.get("client")
    return str(client[0]) if client else ""
