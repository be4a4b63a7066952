"""Many calls of one caller: given in order, made side by side while replicas are idle."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Generic, TypeAlias, TypeVar

from .ahead import Ahead
from .pool import Ticket
from .worker import Spent

Job = TypeVar("Job")
T = TypeVar("T")

Jobs: TypeAlias = "asyncio.Queue[Job | None]"
"""What is to be done, in order; None after the last."""

MOST_AHEAD = 7
"""Calls that are made, or wait to be taken, beside the one whose items are given."""


class Abreast(Generic[Job, T]):
    """Runs ``jobs`` by ``run``. A further job begins early only where that takes nobody's turn.

    The engine's time of each is added to the ticket's in the order of the jobs.
    """

    def __init__(
        self,
        ticket: Ticket,
        jobs: Jobs[Job],
        run: Callable[[Job, Spent], AsyncGenerator[T, None]],
        *,
        room: int,
        may_widen: Callable[[], bool] = lambda: True,
    ) -> None:
        self._ticket = ticket
        self._jobs = jobs
        self._run = run
        self._room = room
        self._may_widen = may_widen
        self._running: deque[_Running[T]] = deque()
        self._next: Job | None = None
        self._ended = False

    async def items(self) -> AsyncGenerator[T, None]:
        """Give what the jobs make. ``room`` items of each may wait, so that its engine is free when it is made."""
        spent = self._ticket.spent
        try:
            while await self._begin_first():
                current, before_ms = self._running[0], spent.engine_ms
                await self._begin_more()
                async for item in current.items:
                    spent.engine_ms = before_ms + current.spent.engine_ms
                    yield item
                    await self._begin_more()
                spent.engine_ms = before_ms + current.spent.engine_ms
                await self._running.popleft().items.aclose()
        finally:
            for running in self._running:
                await running.items.aclose()

    async def _begin_first(self) -> bool:
        """Begin the next job if none runs. False when there is none."""
        if not self._running and (job := self._at_hand() or await self._wait()) is not None:
            self._begin(job)
        return bool(self._running)

    async def _begin_more(self) -> None:
        """Begin jobs that are at hand, while replicas are idle; ask for one more replica."""
        while len(self._running) <= MOST_AHEAD and self._may_widen() and (job := self._at_hand()) is not None:
            # The last job begun takes its lease before we look for another free replica.
            await asyncio.sleep(0)
            if not self._ticket.spare():
                self._ticket.widen()
                return
            self._begin(job)

    def _begin(self, job: Job) -> None:
        self._next = None
        self._running.append(_Running(self._run, job, self._room))

    def _at_hand(self) -> Job | None:
        if self._next is None and not self._ended and not self._jobs.empty():
            self._next = self._jobs.get_nowait()
            self._ended = self._next is None
        return self._next

    async def _wait(self) -> Job | None:
        if not self._ended:
            self._next = await self._jobs.get()
            self._ended = self._next is None
        return self._next


class _Running(Generic[T]):
    """A job at work, and the engine's time it took so far."""

    def __init__(self, run: Callable[[Job, Spent], AsyncGenerator[T, None]], job: Job, room: int) -> None:
        self.spent = Spent()
        self.items = Ahead(run(job, self.spent), room)
