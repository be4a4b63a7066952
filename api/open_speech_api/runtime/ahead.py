"""Reading ahead of a consumer, so that who makes items works while who takes them does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class _Made(Struct, Generic[T], frozen=True):
    item: T


@asynccontextmanager
async def ahead(items: AsyncGenerator[T, None], room: int) -> AsyncIterator[AsyncIterator[T]]:
    """Make ``items`` from now on, up to ``room`` beyond what was taken; give them in order. Leaving closes them."""
    queue: asyncio.Queue[_Made[T] | BaseException | None] = asyncio.Queue(room)
    making = asyncio.create_task(_make(items, queue))
    try:
        yield _take(queue)
    finally:
        making.cancel()
        with suppress(asyncio.CancelledError):
            await making


async def _take(queue: asyncio.Queue[_Made[T] | BaseException | None]) -> AsyncIterator[T]:
    while (found := await queue.get()) is not None:
        if isinstance(found, BaseException):
            raise found
        yield found.item


async def _make(items: AsyncGenerator[T, None], queue: asyncio.Queue[_Made[T] | BaseException | None]) -> None:
    try:
        async with aclosing(items):
            async for item in items:
                await queue.put(_Made(item))
    except Exception as error:  # fence: background task; whoever reads raises it
        await queue.put(error)
    else:
        await queue.put(None)
