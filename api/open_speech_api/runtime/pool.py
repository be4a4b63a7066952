"""All fleets of this server: admission, leases, eviction, shutdown.

The seam where a distributed engine would stand: what crosses it are Structs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager, suppress
from types import TracebackType

from open_speech_core.errors import OpenSpeechError, QueueFull, ShuttingDown, Unavailable, WorkerDied
from open_speech_core.types import Item, Kind, Request

from .fleet import Fleet, Policy, Target
from .worker import CREDIT_ITEMS, Spent, Worker

log = logging.getLogger(__name__)

SWEEP_S = 1.0


class Pool:
    """Workers by model. Everything here belongs to the event loop."""

    def __init__(
        self,
        policy: Policy,
        make: Callable[[Target], Worker],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._make = make
        self._clock = clock
        self._fleets: dict[str, Fleet] = {}
        self._left = asyncio.Event()
        self.closing = False
        """The server is going down."""
        self.preloading: set[str] = set()
        """Keys of models that are loaded at start and not ready yet."""

    def fleet(self, target: Target) -> Fleet:
        """Give the fleet of a model, made on first use."""
        if (fleet := self._fleets.get(target.key)) is None:
            fleet = self._fleets[target.key] = Fleet(target, self._policy, self._make, self._room, self._clock)
        elif fleet.target != target:
            # The weights have come, or a provider was replaced: the next replica is made the new way.
            fleet.target = target
        return fleet

    def find(self, key: str) -> Fleet | None:
        return self._fleets.get(key)

    def fleets(self) -> list[Fleet]:
        """Give every fleet that counts as a model."""
        return [fleet for fleet in self._fleets.values() if fleet.target.counted]

    def loaded(self) -> int:
        """Count the models in memory."""
        return sum(1 for fleet in self.fleets() if fleet.replicas)

    def ticket(self, target: Target, *, caller: str, live: bool = False, spent: Spent | None = None) -> Ticket:
        """Ask for a place; entering the ticket raises when there is none."""
        return Ticket(self, self.fleet(target), caller, live, spent or Spent())

    def check_pressure(self, kind: Kind, ready: Callable[[], Iterable[str]]) -> None:
        """Refuse before a body is read when no model it may name has a place. Raises ``QueueFull``.

        ``ready`` gives the keys of the models that may be named; it is asked only when all that are loaded are full.
        """
        fleets = [fleet for fleet in self.fleets() if fleet.target.spec.kind == kind and fleet.replicas]
        full = fleets and all(fleet.waiting >= self._policy.queue_max for fleet in fleets)
        if full and {fleet.target.key for fleet in fleets}.issuperset(ready()):
            raise QueueFull("too many requests are waiting", retry_after_s=min(fleet.estimate_s() for fleet in fleets))

    async def unload(self, key: str) -> bool:
        """End a model's workers. False when none was loaded."""
        fleet = self._fleets.get(key)
        if fleet is None or not fleet.replicas:
            return False
        await fleet.unload()
        return True

    async def preload(self, targets: Iterable[Target]) -> None:
        """Load models one after another; a failure is logged, not fatal."""
        wanted = list(targets)
        self.preloading.update(target.key for target in wanted)
        for target in wanted:
            try:
                await self.fleet(target).ensure()
            except OpenSpeechError as error:
                log.warning("%s could not be preloaded: %s", target.key, error.message)
            finally:
                self.preloading.discard(target.key)

    async def sweep(self) -> None:
        """End what has been idle for too long; runs until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            for fleet in self._fleets.values():
                fleet.expire()

    async def drain(self, limit_s: float) -> None:
        """Wait until nobody is served, at most ``limit_s``, then end every worker."""
        self.closing = True
        deadline = self._clock() + limit_s
        while any(fleet.tickets for fleet in self._fleets.values()) and self._clock() < deadline:
            self._left.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(deadline - self._clock()):
                    await self._left.wait()
        for fleet in list(self._fleets.values()):
            await fleet.close()

    async def _room(self, wanted: Fleet) -> None:
        """Evict the least recently used idle model while there are too many. Raises ``Unavailable`` in the end."""
        limit = self._policy.max_loaded
        if not limit or not wanted.target.counted:
            return
        deadline = self._clock() + self._policy.queue_wait_s
        while sum(fleet.occupies for fleet in self.fleets()) >= limit:
            idle = [fleet for fleet in self.fleets() if fleet.replicas and fleet.idle]
            if idle:
                await min(idle, key=lambda fleet: fleet.last_used).unload()
                continue
            if self._clock() >= deadline:
                raise Unavailable(
                    f"{limit} models are loaded and in use, and no more may be",
                    retry_after_s=wanted.estimate_s(),
                )
            self._left.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(deadline - self._clock()):
                    await self._left.wait()

    def left(self) -> None:
        """Note that a ticket ended."""
        self._left.set()


class Ticket:
    """A caller's place at one model, for as many leases as its work takes."""

    def __init__(self, pool: Pool, fleet: Fleet, caller: str, live: bool, spent: Spent) -> None:
        self.spent = spent
        self._pool = pool
        self._fleet = fleet
        self._caller = caller
        self._live = live
        self._first = True

    def __enter__(self) -> Ticket:
        if self._pool.closing:
            raise ShuttingDown("the server is going down", retry_after_s=5)
        self._fleet.admit()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._fleet.leave()
        self._pool.left()

    def prepare(self) -> None:
        """Start loading now if nothing is loaded, so that it runs beside other work."""
        self._fleet.prepare()

    @asynccontextmanager
    async def lease(self, *, alone: bool = False) -> AsyncIterator[Worker]:
        """Hold one lane of a replica, or all of them."""
        replica = await self._fleet.lease(
            caller=self._caller, live=self._live, first=self._first, spent=self.spent, alone=alone
        )
        self._first = False
        since = time.monotonic()
        try:
            yield replica.worker
        finally:
            self._fleet.release(replica, time.monotonic() - since, alone=alone)

    def spare(self) -> bool:
        """Say whether a further call would begin at once and take nobody's turn."""
        return self._fleet.spare()

    def widen(self) -> None:
        """Start a further replica, if there may be one, for calls side by side."""
        self._fleet.widen()

    async def run(
        self, request: Request, *, credit: int = CREDIT_ITEMS, spent: Spent | None = None
    ) -> AsyncGenerator[Item, None]:
        """Run one call under one lease; tried again once when another call's fault ended it before it sent anything.

        ``spent`` is where the engine's time goes, for calls side by side; else the ticket's own.

        Whose fault it was nobody knows: those who try again do so one after another, so that one of them alone fails.
        """
        retried = False
        while True:
            sent = False
            try:
                async with (
                    self.lease(alone=retried) as worker,
                    aclosing(worker.call(request, spent or self.spent, credit=credit)) as items,
                ):
                    async for item in items:
                        sent = True
                        yield item
                    return
            except WorkerDied as error:
                if sent or retried or not error.beside:
                    raise
                retried = True
