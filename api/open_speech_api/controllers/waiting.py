"""Waiting for work while watching the client, and answering with streams whose first item is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from litestar import Request

from open_speech_core.errors import Cancelled

T = TypeVar("T")
AnyRequest = Request[Any, Any, Any]


async def while_connected(request: AnyRequest, work: Coroutine[Any, Any, T]) -> T:
    """Await ``work``, or cancel it as soon as the client leaves. The body must have been read.

    Raises:
        Cancelled: the client has left; nobody reads an answer.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Cancelled("the client has left")
    finally:
        for task in (working, watching):
            task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await working


async def _left(request: AnyRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def primed(request: AnyRequest, stream: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """Await the first item, so that every failure up to there is a proper status; then give all of it.

    ``stream`` is noted in the request's state, so that it is closed when the request ends, however that ends.
    """
    try:
        first = await while_connected(request, _next(stream))
    except BaseException:
        await stream.aclose()
        raise
    request.scope["state"]["stream"] = stream
    return _rest(first, stream)


async def _next(stream: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(stream, None)


async def _rest(first: bytes | None, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    try:
        if first is not None:
            yield first
        async for chunk in stream:
            yield chunk
            # A generator that never suspends would keep the loop from seeing that its client left.
            await asyncio.sleep(0)
    finally:
        await stream.aclose()
