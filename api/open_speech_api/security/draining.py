"""Reading on after a refusal."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from litestar.types import Receive

DRAIN_BYTES = 64 * 1024 * 1024
DRAIN_S = 5.0


async def drain(receive: Receive) -> None:
    """Read and forget what a client still sends: closed on while it sends, it would never read the answer."""
    taken = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            while taken <= DRAIN_BYTES:
                message = await receive()
                if message["type"] != "http.request":
                    return
                taken += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
