"""All fleets of this server: admission, leases, eviction, shutdown.

The seam where a distributed engine would stand: what crosses it are Structs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, asynccontextmanager, suppress
from types import TracebackType

from open_speech_core.errors import (
    InsufficientMemory,
    QueueFull,
    ShuttingDown,
    Unavailable,
    WeightsMissing,
    WorkerDied,
)
from open_speech_core.types import Item, Kind, Request

from .fleet import Fleet
from .memory import Held, Memory
from .target import Policy, Target
from .worker import CREDIT_ITEMS, Spent, Worker

log = logging.getLogger(__name__)

SWEEP_S = 1.0


class Pool:
    """Workers by model. Everything here belongs to the event loop."""

    def __init__(
        self,
        policy: Policy,
        make: Callable[[Target], Worker],
        *,
        fetch: Callable[[Target], Awaitable[None]] | None = None,
        memory: Memory | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._make = make
        self._fetch = fetch
        self._memory = memory
        self._clock = clock
        self._fleets: dict[str, Fleet] = {}
        self._left = asyncio.Event()
        self.closing = False
        """The server is going down."""

    def fleet(self, target: Target) -> Fleet:
        """Give the fleet of a model, made on first use."""
        if (fleet := self._fleets.get(target.key)) is None:
            fleet = self._fleets[target.key] = Fleet(target, self._policy, self, self._clock)
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

    async def load(self, target: Target) -> None:
        """Return when a model is in memory. Raises what stopped it."""
        await self.fleet(target).ensure()

    def begin(self, target: Target) -> None:
        """Begin to load a model and do not wait; ``Fleet.error`` says if it failed. Raises what forbids it now."""
        fleet = self.fleet(target)
        fleet.admit()
        fleet.leave()
        fleet.prepare()

    async def unload(self, key: str) -> bool:
        """End a model's workers. False when none was loaded."""
        fleet = self._fleets.get(key)
        if fleet is None or not fleet.replicas:
            return False
        await fleet.unload()
        return True

    async def leave_interpreter(self, old: str, new: str | None = None) -> None:
        """End every process of an environment as its work ends; ``new`` takes its place, if anything does."""
        await asyncio.gather(*(fleet.leave_interpreter(old, new) for fleet in list(self._fleets.values())))

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

    # what fleets ask for

    def make(self, target: Target) -> Worker:
        return self._make(target)

    async def fetch(self, target: Target) -> None:
        """Return when the weights are here."""
        if self._fetch is None:
            raise WeightsMissing(f"the weights of {target.spec.load.model.id!r} are not on this machine")
        await self._fetch(target)

    def fits_beside(self, target: Target) -> bool:
        """Say whether a further replica fits into the memory that is free now."""
        return self._memory is None or self._memory.fits_beside(target, self._held())

    async def measure(self, target: Target, worker: Worker) -> None:
        """Note what a replica takes, for the next load of its model."""
        if self._memory is not None and target.counted and worker.pid is not None:
            await self._memory.note(target, worker.pid)

    async def has_room(self, target: Target) -> bool:
        """Say whether one more copy of a model fits beside what is loaded now."""
        return self._memory is None or await self._memory.lack_mb(target, self._held()) == 0

    async def make_room(self, wanted: Fleet) -> None:
        """Evict idle models, the longest unused first, until one more may be loaded.

        None is evicted when that would not be enough. A model in use is waited for where the number of models is the
        limit, and not where memory is.

        Raises:
            InsufficientMemory: it would not fit if every idle model went.
            Unavailable: too many models stay in use, or are pinned.
        """
        if not wanted.target.counted:
            return
        await self._check_memory(wanted)
        await self._make_place(wanted)
        while await self._lack_mb(wanted) > 0:
            idle = self._evictable()
            if not idle:
                raise await self._too_large(wanted)
            await min(idle, key=lambda fleet: fleet.last_used).unload()

    def _evictable(self) -> list[Fleet]:
        return [fleet for fleet in self.fleets() if fleet.replicas and fleet.idle and not fleet.pinned]

    def _held(self) -> list[Held]:
        return [
            Held(target=fleet.target, ready=fleet.resident, making=int(fleet.making))
            for fleet in self.fleets()
            if fleet.resident or fleet.making
        ]

    async def _lack_mb(self, wanted: Fleet) -> int:
        if self._memory is None:
            return 0
        return await self._memory.lack_mb(wanted.target, self._held())

    async def _check_memory(self, wanted: Fleet) -> None:
        if (lack := await self._lack_mb(wanted)) > 0 and self._memory is not None:
            device = self._memory.device(wanted.target)
            for fleet in self._evictable():
                if self._memory.device(fleet.target) == device:
                    lack -= len(fleet.replicas) * self._memory.needed_mb(fleet.target)
            if lack > 0:
                raise await self._too_large(wanted)

    async def _too_large(self, wanted: Fleet) -> InsufficientMemory:
        needed = self._memory.needed_mb(wanted.target) if self._memory is not None else 0
        free = max(0, needed - await self._lack_mb(wanted))
        return InsufficientMemory(
            f"model {wanted.target.spec.load.model.id!r} needs about {needed} MB and {free} MB are free; "
            "unload another model, or choose a smaller one",
            param="model",
        )

    async def _make_place(self, wanted: Fleet) -> None:
        """Evict while there are too many models."""
        limit = self._policy.max_loaded
        deadline = self._clock() + self._policy.queue_wait_s
        while limit and sum(fleet.occupies for fleet in self.fleets() if fleet is not wanted) >= limit:
            if idle := self._evictable():
                await min(idle, key=lambda fleet: fleet.last_used).unload()
                continue
            pinned = sum(fleet.pinned and fleet.occupies for fleet in self.fleets())
            if pinned >= limit or self._clock() >= deadline:
                stay = "are loaded at start and stay" if pinned >= limit else "are loaded and in use"
                raise Unavailable(f"{limit} models {stay}, and no more may be", retry_after_s=wanted.estimate_s())
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
