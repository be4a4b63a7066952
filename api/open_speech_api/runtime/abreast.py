"""Many calls of one caller: given in order, made side by side while replicas are idle."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Generic, TypeVar

from .ahead import Ahead
from .pool import Ticket
from .worker import Spent

Job = TypeVar("Job")
T = TypeVar("T")

MOST_AHEAD = 7
"""Calls that are made, or wait to be taken, beside the one whose items are given."""


class Abreast(Generic[Job, T]):
    """Runs the jobs that are put into it. A further one begins early only where that takes nobody's turn.

    The engine's time of each is added to the ticket's in the order of the jobs. ``room`` items of each may wait to
    be taken, so that its engine is free when it is made.
    """

    def __init__(
        self,
        ticket: Ticket,
        run: Callable[[Job, Spent], AsyncGenerator[T, None]],
        *,
        room: int,
        may_widen: Callable[[], bool] = lambda: True,
    ) -> None:
        self._ticket = ticket
        self._run = run
        self._room = room
        self._may_widen = may_widen
        self._jobs: deque[Job] = deque()
        self._running: deque[_Running[T]] = deque()
        self._ended = False
        self._leasing = False
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def put(self, *jobs: Job) -> None:
        """Add jobs behind the others."""
        self._jobs.extend(jobs)
        self._changed.set()
        self._begin_more()

    def end(self, *, early: bool = False) -> None:
        """Say that no job will follow; ``early`` also takes back those that have not begun."""
        self._ended = True
        if early:
            self._jobs.clear()
        self._changed.set()

    async def items(self) -> AsyncGenerator[T, None]:
        """Give what the jobs make, to the end of the last; closing this closes them all."""
        spent = self._ticket.spent
        try:
            while await self._first():
                current, before_ms = self._running[0], spent.engine_ms
                async for item in current.items:
                    spent.engine_ms = before_ms + current.spent.engine_ms
                    yield item
                    self._begin_more()
                spent.engine_ms = before_ms + current.spent.engine_ms
                await self._running.popleft().items.aclose()
        finally:
            self._jobs.clear()
            for running in self._running:
                await running.items.aclose()

    async def _first(self) -> bool:
        """Begin the next job if none runs, waiting for one. False when none will come."""
        while not self._running:
            if self._jobs:
                self._begin()
            elif self._ended:
                return False
            else:
                self._changed.clear()
                await self._changed.wait()
        return True

    def _begin(self) -> None:
        self._running.append(_Running(self._run, self._jobs.popleft(), self._room))
        # It takes its lease before we look for another idle replica.
        self._leasing = True
        self._loop.call_soon(self._leased)

    def _leased(self) -> None:
        self._leasing = False
        self._begin_more()

    def _begin_more(self) -> None:
        """Begin jobs while replicas are idle; ask for one more replica when they are not."""
        within = 0 < len(self._running) <= MOST_AHEAD
        if self._leasing or not self._jobs or not within or not self._may_widen():
            return
        if self._ticket.spare():
            self._begin()
        else:
            self._ticket.widen()


class _Running(Generic[T]):
    """A job at work, and the engine's time it took so far."""

    def __init__(self, run: Callable[[Job, Spent], AsyncGenerator[T, None]], job: Job, room: int) -> None:
        self.spent = Spent()
        self.items = Ahead(run(job, self.spent), room)
