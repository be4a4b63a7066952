"""A server that does nothing but answer ``/health``: what the framework and the machine cost by themselves."""

from __future__ import annotations

import asyncio
import os
import sys

from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from litestar import Litestar, get
from msgspec import Struct


class Health(Struct, frozen=True, kw_only=True):
    """As long an answer as ours."""

    status: str = "ok"
    version: str = "0.1.0"
    models_loaded: int = 2


@get("/health")
async def health() -> Health:
    """Answer."""
    return Health()


def main(port: int) -> None:
    """Serve until killed or until the parent's end of stdin is gone."""
    app = Litestar(route_handlers=[health], openapi_config=None, logging_config=None)
    server = Server(
        app,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.auto,
        log_enabled=False,
    )
    asyncio.run(_serve(server))


async def _serve(server: Server) -> None:
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), lambda: os._exit(0))
    await server.serve()


if __name__ == "__main__":
    main(int(sys.argv[1]))
