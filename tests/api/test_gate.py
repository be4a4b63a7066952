"""Who a caller is, and what needs no key: the gate's decisions by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from open_speech_api.security.gate import bearer, caller_of, cors_headers, is_open


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
