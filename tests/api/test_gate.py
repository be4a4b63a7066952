"""Who a caller is, and what needs no key: the gate's decisions by themselves."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from litestar import Litestar, Request, get
from litestar.response import Stream

from open_speech_api.controllers.waiting import primed
from open_speech_api.security.gate import Gate, bearer, caller_of, cors_headers, is_open
from open_speech_api.settings import Settings


def scope(*forwarded: str) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return {"client": ("10.0.0.9", 4000), "headers": headers}


def test_a_forwarded_address_counts_only_behind_a_trusted_proxy() -> None:
    assert caller_of(scope("1.2.3.4"), trust_proxy=False) == "10.0.0.9"
    assert caller_of(scope("1.2.3.4"), trust_proxy=True) == "1.2.3.4"


@pytest.mark.parametrize("forwarded", [("6.6.6.6, 1.2.3.4",), ("6.6.6.6", "1.2.3.4"), ("6.6.6.6,1.2.3.4 ",)])
def test_the_entry_of_the_proxy_wins_over_what_a_client_wrote(forwarded: tuple[str, ...]) -> None:
    assert caller_of(scope(*forwarded), trust_proxy=True) == "1.2.3.4"


@pytest.mark.parametrize("forwarded", [(), ("",), ("6.6.6.6,",)])
def test_without_an_entry_the_connection_counts(forwarded: tuple[str, ...]) -> None:
    assert caller_of(scope(*forwarded), trust_proxy=True) == "10.0.0.9"


def test_a_websocket_is_never_open() -> None:
    assert is_open("http", "GET", "/health")
    assert not is_open("websocket", "GET", "/health")


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (b"Bearer k", b"k"),
        (b"bearer  k ", b"k"),
        (b"Basic k", b""),
        (b"k", b""),
        ("Bearer \u00e9".encode(), b"\xc3\xa9"),
    ],
)
def test_the_key_is_read_as_bytes(header: bytes, key: bytes) -> None:
    assert bearer([(b"Authorization", header)]) == key


@pytest.mark.parametrize(
    ("origins", "sent", "allowed"),
    [
        ({"*"}, b"https://a", b"*"),
        ({"https://a"}, b"https://a", b"https://a"),
        ({"https://a"}, b"https://b", None),
        ({"https://a"}, None, None),
    ],
)
def test_a_page_of_an_allowed_origin_may_read_a_refusal(
    origins: set[str], sent: bytes | None, allowed: bytes | None
) -> None:
    headers = [(b"Origin", sent)] if sent else []
    assert dict(cors_headers(headers, frozenset(origins))).get(b"access-control-allow-origin") == allowed


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Nothing is closed merely because nobody refers to it any more."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("at", ["http.response.start", "http.response.body"])
@pytest.mark.parametrize("fault", ["raises", "hangs"])
def test_a_stream_is_closed_though_its_client_left_while_it_was_sent(at: str, fault: str) -> None:
    closed: list[bool] = []

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"x"
        finally:
            closed.append(True)

    @get("/")
    async def handler(request: Request[Any, Any, Any]) -> Stream:
        return Stream(await primed(request, endless()))

    async def ask() -> None:
        left = asyncio.Event()
        opening = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            if opening:
                return opening.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == at:
                left.set()
                if fault == "raises":
                    raise RuntimeError("the connection is closed")
                await asyncio.sleep(60)

        gate = Gate(Litestar([handler], logging_config=None), Settings(), lambda event: None)
        raw = {
            "type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "headers": [],
            "http_version": "1.1", "scheme": "http", "server": ("a", 1), "client": ("b", 2), "root_path": "",
            "asgi": {"version": "3.0"}, "state": {},
        }  # fmt: skip
        with suppress(Exception):
            async with asyncio.timeout(2.0):
                await gate(raw, receive, send)  # type: ignore[arg-type]
        assert closed

    asyncio.run(ask())
