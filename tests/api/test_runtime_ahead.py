"""Reading ahead keeps order, passes errors on, is bounded, and stops its source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech_api.runtime.ahead import Ahead


class Source:
    """Counts what was made and says when it was closed."""

    def __init__(self, count: int, fails_at: int | None = None) -> None:
        self.made = 0
        self.closed = False
        self._count = count
        self._fails_at = fails_at

    async def items(self) -> AsyncGenerator[int, None]:
        try:
            for number in range(self._count):
                if number == self._fails_at:
                    raise ValueError("the source failed")
                self.made += 1
                yield number
        finally:
            self.closed = True


@given(count=st.integers(0, 30), room=st.integers(1, 5))
def test_all_items_come_in_order(count: int, room: int) -> None:
    async def run() -> list[int]:
        async with aclosing(Ahead(Source(count).items(), room)) as items:
            return [item async for item in items]

    assert asyncio.run(run()) == list(range(count))


def test_a_failure_comes_after_what_was_made_before_it() -> None:
    got: list[int] = []

    async def run() -> None:
        async with aclosing(Ahead(Source(5, fails_at=3).items(), 10)) as items:
            async for item in items:
                got.append(item)

    with pytest.raises(ValueError, match="the source failed"):
        asyncio.run(run())
    assert got == [0, 1, 2]


def test_it_reads_ahead_and_no_further_than_there_is_room() -> None:
    source = Source(100)

    async def run() -> None:
        async with aclosing(Ahead(source.items(), 3)) as items:
            assert await anext(items) == 0
            for _ in range(20):
                await asyncio.sleep(0)
            # One was taken, three wait, one is held by the source's reader.
            assert source.made == 5

    asyncio.run(run())
    assert source.closed


def test_it_begins_before_anyone_takes() -> None:
    source = Source(100)

    async def run() -> None:
        async with aclosing(Ahead(source.items(), 2)):
            await asyncio.sleep(0.01)

    asyncio.run(run())
    assert source.made == 3
    assert source.closed


def test_closing_early_closes_the_source() -> None:
    source = Source(100)

    async def run() -> None:
        async with aclosing(Ahead(source.items(), 2)) as items:
            await anext(items)

    asyncio.run(run())
    assert source.closed


def test_cancelling_the_consumer_closes_the_source() -> None:
    closed = asyncio.Event()

    async def slow() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.sleep(60)
        finally:
            closed.set()

    async def consume() -> None:
        async with aclosing(Ahead(slow(), 2)) as items:
            async for _ in items:
                pass

    async def run() -> None:
        task = asyncio.create_task(consume())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert closed.is_set()
