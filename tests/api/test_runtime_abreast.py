"""Calls side by side: their items in order, no more at once than replicas are idle, all closed with the caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech_api.runtime.abreast import MOST_AHEAD, Abreast
from open_speech_api.runtime.pool import Ticket
from open_speech_api.runtime.worker import Spent


class Lanes:
    """Stands for a ticket of a model with so many replicas: its leases are counted here."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.spent = Spent()
        self.at_once = 0
        self.most = 0
        self.widened = 0
        self.closed: list[int] = []

    def spare(self) -> bool:
        return self.at_once < self.lanes

    def widen(self) -> None:
        self.widened += 1

    async def run(self, job: int, spent: Spent) -> AsyncGenerator[tuple[int, int], None]:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            for number in range(job % 4):
                await asyncio.sleep(0.001 * (job % 3))
                spent.engine_ms += 1
                yield job, number
        finally:
            self.at_once -= 1
            self.closed.append(job)

    def abreast(self, count: int, may_widen: Callable[[], bool] = lambda: True) -> Abreast[int, tuple[int, int]]:
        """Give jobs 1 to ``count``."""
        abreast = Abreast(cast("Ticket", self), self.run, room=8, may_widen=may_widen)
        abreast.put(*range(1, count + 1))
        abreast.end()
        return abreast


def run(work: Callable[[], Any]) -> Any:
    return asyncio.run(work())


@given(count=st.integers(0, 12), lanes=st.integers(1, 4))
def test_items_come_in_order_and_lanes_bound_what_runs(count: int, lanes: int) -> None:
    there = Lanes(lanes)

    async def work() -> list[tuple[int, int]]:
        return [item async for item in there.abreast(count).items()]

    expected = [(job, number) for job in range(1, count + 1) for number in range(job % 4)]
    assert run(work) == expected
    assert there.most <= lanes
    assert sorted(there.closed) == list(range(1, count + 1))
    assert there.spent.engine_ms == len(expected)


def test_idle_lanes_are_used() -> None:
    there = Lanes(3)
    run(lambda: _all(there, 9))
    assert there.most == 3


def test_one_job_asks_for_no_further_replica() -> None:
    there = Lanes(1)
    run(lambda: _all(there, 1))
    assert there.widened == 0
    run(lambda: _all(there, 2))
    assert there.widened > 0


def test_nothing_runs_ahead_until_it_may() -> None:
    there = Lanes(3)
    run(lambda: _all(there, 9, lambda: False))
    assert there.most == 1
    assert there.widened == 0


def test_what_is_not_taken_bounds_what_is_made() -> None:
    there = Lanes(100)

    async def work() -> None:
        items = there.abreast(50).items()
        await anext(items)
        await asyncio.sleep(0.05)
        assert len(there.closed) + there.at_once <= MOST_AHEAD + 2
        await items.aclose()

    run(work)
    assert there.at_once == 0


def test_a_job_that_fails_is_raised_in_its_turn_and_the_others_are_closed() -> None:
    there = Lanes(4)
    got: list[tuple[int, int]] = []

    async def failing(job: int, spent: Spent) -> AsyncGenerator[tuple[int, int], None]:
        async for item in there.run(job, spent):
            if job == 3:
                raise ValueError("the third failed")
            yield item

    async def work() -> None:
        abreast = Abreast(cast("Ticket", there), failing, room=8)
        abreast.put(*range(1, 10))
        abreast.end()
        async for item in abreast.items():
            got.append(item)

    with pytest.raises(ValueError, match="third"):
        run(work)
    assert got == [(1, 0), (2, 0), (2, 1)]


def test_a_job_that_comes_while_another_runs_begins_at_once() -> None:
    there = Lanes(2)

    async def work() -> None:
        abreast = Abreast(cast("Ticket", there), there.run, room=8)
        abreast.put(5)
        items = abreast.items()
        taking = asyncio.create_task(anext(items))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert there.at_once == 1
        abreast.put(7)
        for _ in range(4):
            await asyncio.sleep(0)
        assert there.at_once == 2
        await taking
        await items.aclose()

    run(work)
    assert there.at_once == 0


def test_jobs_that_have_not_begun_are_taken_back() -> None:
    there = Lanes(1)

    async def work() -> list[tuple[int, int]]:
        abreast = Abreast(cast("Ticket", there), there.run, room=8)
        abreast.put(3, 5, 6, 7)
        got: list[tuple[int, int]] = []
        async for item in abreast.items():
            got.append(item)
            abreast.end(early=True)
        return got

    assert run(work) == [(3, 0), (3, 1), (3, 2)]
    assert there.closed == [3]


async def _all(there: Lanes, count: int, may_widen: Callable[[], bool] = lambda: True) -> list[tuple[int, int]]:
    return [item async for item in there.abreast(count, may_widen).items()]
