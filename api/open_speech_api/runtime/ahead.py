"""Reading ahead of a consumer, so that who makes items works while who takes them does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class _Made(Struct, Generic[T], frozen=True):
    item: T


class Ahead(AsyncIterator[T]):
    """Makes ``items`` from now on, up to ``room`` beyond what was taken; gives them in order.

    To be closed, which closes ``items``; a failure is raised to who takes, after what was made before it.
    """

    def __init__(self, items: AsyncGenerator[T, None], room: int) -> None:
        self._queue: asyncio.Queue[_Made[T] | BaseException | None] = asyncio.Queue(room)
        self._making = asyncio.create_task(self._make(items))

    async def __anext__(self) -> T:
        found = await self._queue.get()
        if isinstance(found, _Made):
            return found.item
        # Whoever asks again is told the same.
        self._queue.put_nowait(found)
        raise found or StopAsyncIteration

    async def aclose(self) -> None:
        self._making.cancel()
        with suppress(asyncio.CancelledError):
            await self._making

    async def _make(self, items: AsyncGenerator[T, None]) -> None:
        try:
            async with aclosing(items):
                async for item in items:
                    await self._queue.put(_Made(item))
        except Exception as error:  # fence: background task; whoever reads raises it
            await self._queue.put(error)
        else:
            await self._queue.put(None)
