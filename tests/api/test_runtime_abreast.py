"""Calls side by side: their items in order, no more at once than replicas are idle, all closed with the caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech_api.runtime.abreast import MOST_AHEAD, Abreast, Jobs
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

    def abreast(self, jobs: Jobs[int], may_widen: Callable[[], bool] = lambda: True) -> Abreast[int, tuple[int, int]]:
        return Abreast(cast("Ticket", self), jobs, self.run, room=8, may_widen=may_widen)


def queue(count: int) -> Jobs[int]:
    jobs: Jobs[int] = asyncio.Queue()
    for job in (*range(1, count + 1), None):
        jobs.put_nowait(job)
    return jobs


def run(work: Callable[[], Any]) -> Any:
    return asyncio.run(work())


@given(count=st.integers(0, 12), lanes=st.integers(1, 4))
def test_items_come_in_order_and_lanes_bound_what_runs(count: int, lanes: int) -> None:
    there = Lanes(lanes)

    async def work() -> list[tuple[int, int]]:
        return [item async for item in there.abreast(queue(count)).items()]

    expected = [(job, number) for job in range(1, count + 1) for number in range(job % 4)]
    assert run(work) == expected
    assert there.most <= lanes
    assert sorted(there.closed) == list(range(1, count + 1))
    assert there.spent.engine_ms == len(expected)


def test_idle_lanes_are_used() -> None:
    there = Lanes(3)
    run(lambda: _all(there.abreast(queue(9))))
    assert there.most == 3


def test_one_job_asks_for_no_further_replica() -> None:
    there = Lanes(1)
    run(lambda: _all(there.abreast(queue(1))))
    assert there.widened == 0
    run(lambda: _all(there.abreast(queue(2))))
    assert there.widened > 0


def test_nothing_runs_ahead_until_it_may() -> None:
    there = Lanes(3)
    run(lambda: _all(there.abreast(queue(9), may_widen=lambda: False)))
    assert there.most == 1
    assert there.widened == 0


def test_what_is_not_taken_bounds_what_is_made() -> None:
    there = Lanes(100)

    async def work() -> None:
        items = there.abreast(queue(50)).items()
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
        async for item in Abreast(cast("Ticket", there), queue(9), failing, room=8).items():
            got.append(item)

    with pytest.raises(ValueError, match="third"):
        run(work)
    assert got == [(1, 0), (2, 0), (2, 1)]


async def _all(abreast: Abreast[int, tuple[int, int]]) -> list[tuple[int, int]]:
    return [item async for item in abreast.items()]
