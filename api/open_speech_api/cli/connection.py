"""The way to a running server: where it is, its key, and errors in words."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    import ssl

    import httpx

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

CONNECT_S = 5.0
"""Connecting may take this long; work on the server may take any time."""


class Unreachable(click.ClickException):
    """Nobody listens there."""


def connection_options(command: CommandT) -> CommandT:
    """Add ``--url``, ``--api-key`` and ``--insecure``."""
    for option in (
        click.option("--insecure", is_flag=True, help="Do not check the server's certificate."),
        click.option("--api-key", metavar="KEY", help="Key of the server. Default: OS_API_KEY."),
        click.option("--url", metavar="URL", help="Address of the server. Default: OS_URL, else this machine."),
    ):
        command = option(command)
    return command


def server_url(environ: Mapping[str, str]) -> str:
    """Give ``OS_URL``, else where a server with this environment's settings listens."""
    from open_speech_api.security.hosts import is_everywhere
    from open_speech_api.security.tls import wants_tls
    from open_speech_api.settings import SettingsError, canonical_environ, read_settings

    if url := canonical_environ(environ).get("OS_URL", "").strip():
        return url
    try:
        server = read_settings(environ)[0].server
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    host = "127.0.0.1" if server.host is None or is_everywhere(server.host) else server.host.strip("[]")
    scheme = "https" if wants_tls(server) else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{server.port}"


@contextmanager
def connected(url: str | None, api_key: str | None, insecure: bool) -> Iterator[httpx.Client]:
    """Open a client of the server; what goes wrong in the block is told as one line.

    Raises:
        Unreachable: no server is there.
        ClickException: it could not be talked to.
    """
    import httpx

    address = _checked(url or server_url(os.environ))
    headers = [(b"Authorization", b"Bearer " + key)] if (key := _key(api_key)) else []
    client = httpx.Client(
        base_url=address,
        headers=headers,
        verify=_trust(insecure) if address.scheme == "https" else False,
        timeout=httpx.Timeout(None, connect=CONNECT_S),
        trust_env=not _is_local(address),
    )
    try:
        with client:
            yield client
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise _unconnected(address, str(error)) from None
    except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
        hint = " It may speak HTTPS: try --url https://..." if address.scheme == "http" else ""
        raise click.ClickException(f"the connection to {address} broke before all was said.{hint}") from None
    except httpx.HTTPError as error:
        raise click.ClickException(f"cannot talk to {address}: {error}") from None


def _unconnected(address: httpx.URL, reason: str) -> click.ClickException:
    """Say why there was no connection; ``reason`` is OpenSSL's or the system's own."""
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return click.ClickException(
            f"the certificate of {address} is not trusted. If it is your own server, add --insecure"
        )
    if "SSL" in reason:
        return click.ClickException(f"what answers at {address} does not speak HTTPS; try --url http://...")
    start = "Start one with: open-speech serve" if _is_local(address) else "Is the address right?"
    return Unreachable(f"no server answers at {address}. {start}")


def check(response: httpx.Response) -> None:
    """Raise what the server answered, in its words, unless it is a success."""
    if response.is_success:
        return
    response.read()
    message = _message(response) or f"the server answered {response.status_code} {response.reason_phrase}"
    if response.status_code == 401:
        message += " Give the key with --api-key or in OS_API_KEY."
    raise click.ClickException(message)


def _message(response: httpx.Response) -> str:
    import json

    try:
        return str(json.loads(response.content)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def _checked(url: str) -> httpx.URL:
    import httpx

    text = url if "://" in url else f"http://{url}"
    try:
        parsed = httpx.URL(text.rstrip("/").removesuffix("/v1"))
    except httpx.InvalidURL as error:
        raise click.UsageError(f"{url!r} is no address: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise click.UsageError(f"{url!r} is no address; one is http://127.0.0.1:8100")
    return parsed


def _key(given: str | None) -> bytes:
    """Give the first key: a server's own environment may list several."""
    from open_speech_api.settings import canonical_environ

    keys = given or canonical_environ(os.environ).get("OS_API_KEY", "")
    found = next((key.strip() for key in keys.split(",") if key.strip()), "")
    return found.encode("utf-8", "surrogateescape")


def _is_local(address: httpx.URL) -> bool:
    from open_speech_api.security.hosts import is_loopback

    return is_loopback(address.host)


def _trust(insecure: bool) -> ssl.SSLContext | bool:
    """Trust what the system trusts, and the certificate that a server on this machine made itself."""
    import ssl

    from open_speech_api.settings import SettingsError, read_settings

    if insecure:
        return False
    context = ssl.create_default_context()
    try:
        own = read_settings(os.environ)[0].server.folder("certs") / "cert.pem"
        context.load_verify_locations(own)
    except (SettingsError, OSError):
        pass
    return context
