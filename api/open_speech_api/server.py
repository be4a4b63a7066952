"""Serving: granian inside this process, TLS by the rulings, and a stop that loses nothing it can finish."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from open_speech_core.plugins import Discovery, discover

from .app import Application, create_app
from .security.tls import decide_tls
from .settings import Settings, canonical_environ

log = logging.getLogger(__name__)

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Options of mallopt(3)."""


LAST_ANSWERS_S = 1.0
"""What is left to the connections once no worker runs any more."""


class ServeError(Exception):
    """The server cannot start; the text says why."""


def serve(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    plugins: Discovery | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. Raises ``ServeError`` when the address cannot be had."""
    keep_memory_small()
    app = create_app(settings, plugins or discover(), canonical_environ(environ))
    host, port = settings.server.host or "127.0.0.1", settings.server.port
    _check_address(host, port)
    tls = decide_tls(settings.server, datetime.now(UTC))
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.auto,
        log_enabled=False,
        ssl_cert=tls.certfile if tls else None,
        ssl_key=tls.keyfile if tls else None,
    )
    scheme = "https" if tls else "http"
    shown = f"[{host}]" if ":" in host else host
    ready = (lambda: on_ready(f"{scheme}://{shown}:{port}")) if on_ready else None
    uvloop.run(_run(app, server, ready, (host, port)))


async def _run(app: Application, server: Server, ready: Callable[[], None] | None, address: tuple[str, int]) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    serving = asyncio.create_task(server.serve())
    if ready is not None and await _listening(serving, address):
        ready()
    told = asyncio.create_task(stopping.wait())
    await asyncio.wait({serving, told}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        await serving
    else:
        stop: Callable[[], None] = server.stop
        stop()
        await app.end()
        await asyncio.wait({serving}, timeout=LAST_ANSWERS_S)
    # granian's threads may still hold connections of clients that do not close; nothing is left to do for them.
    os._exit(0)


async def _listening(serving: asyncio.Task[None], address: tuple[str, int]) -> bool:
    """Wait until the address answers. False when serving ended before."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not serving.done():
        try:
            _, writer = await asyncio.open_connection(*address)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        return True
    return False


def keep_memory_small() -> None:
    """Have glibc give large buffers back at once and keep few arenas; elsewhere, nothing happens.

    Uploads and audio pass through as short-lived buffers; without this some 5 MB of them stay. mallopt(3).
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((M_ARENA_MAX, 2), (M_MMAP_THRESHOLD, 128 * 1024), (M_TRIM_THRESHOLD, 128 * 1024)):
            mallopt(option, value)


def _check_address(host: str, port: int) -> None:
    """Find out now, with a clear message, that an address is taken or not ours."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise ServeError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
