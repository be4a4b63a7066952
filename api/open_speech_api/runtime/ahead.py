"""Reading ahead of a consumer, so that who makes items works while who takes them does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class _Made(Struct, Generic[T], frozen=True):
    item: T


async def ahead(items: AsyncGenerator[T, None], room: int) -> AsyncGenerator[T, None]:
    """Give ``items`` in order while up to ``room`` further ones are made; closing this closes them."""
    queue: asyncio.Queue[_Made[T] | BaseException | None] = asyncio.Queue(room)
    making = asyncio.create_task(_make(items, queue))
    try:
        while (found := await queue.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield found.item
    finally:
        making.cancel()
        with suppress(asyncio.CancelledError):
            await making


async def _make(items: AsyncGenerator[T, None], queue: asyncio.Queue[_Made[T] | BaseException | None]) -> None:
    try:
        async with aclosing(items):
            async for item in items:
                await queue.put(_Made(item))
    except Exception as error:  # fence: background task; whoever reads raises it
        await queue.put(error)
    else:
        await queue.put(None)
