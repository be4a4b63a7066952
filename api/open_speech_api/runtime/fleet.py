"""The replicas of one model, the callers that wait for them, and what becomes of both."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from msgspec import structs

from open_speech_core.errors import (
    ErrorInfo,
    InsufficientMemory,
    ModelFailed,
    OpenSpeechError,
    QueueFull,
    ShuttingDown,
    StepTimeout,
    WorkerDied,
)

from .line import Line
from .replica import Replica
from .rest import Rest
from .target import Policy, Target
from .worker import Spent, Worker

log = logging.getLogger(__name__)

END_S = 5.0
"""A worker that was told to end and has not is killed after this."""


class Surroundings(Protocol):
    """What a fleet asks of the pool it belongs to."""

    def make(self, target: Target) -> Worker:
        """Make a worker, not started."""
        ...

    async def fetch(self, target: Target) -> None:
        """Return when the weights are here. Raises what the download ended in."""
        ...

    async def make_room(self, wanted: Fleet) -> None:
        """Return when the model may be loaded. Raises ``Unavailable`` or ``InsufficientMemory``."""
        ...

    def fits_beside(self, target: Target) -> bool:
        """Say whether a further replica fits into the memory that is free now."""
        ...

    async def measure(self, target: Target, worker: Worker) -> None:
        """Note the memory that a replica takes."""
        ...


class Fleet:
    """One model's replicas. Grows when callers wait, shrinks when idle; belongs to the event loop."""

    def __init__(
        self,
        target: Target,
        policy: Policy,
        pool: Surroundings,
        clock: Callable[[], float],
    ) -> None:
        self.target = target
        self.replicas: list[Replica] = []
        self.loaded_at: float | None = None
        """By the injected clock; None when no replica is ready."""
        self.last_used = clock()
        self.tickets = 0
        self.pinned = False
        """Neither the TTL nor another model ends its last replica."""
        self.error: ErrorInfo | None = None
        """What the last load ended in; None after a success."""
        self._policy = policy
        self._pool = pool
        self._clock = clock
        self._line = Line(self._take_free, self._give_back)
        self._starting: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._rest = Rest(clock)
        self._lease_s = 1.0
        """Recent length of a lease, smoothed; what Retry-After is made of."""
        self._closed = False
        self._loading: Target | None = None
        self._retiring: set[Replica] = set()

    # admission

    @property
    def waiting(self) -> int:
        return len(self._line)

    @property
    def starting(self) -> bool:
        """Its first replica is on its way, its weights included."""
        return self._starting is not None and not self.replicas

    @property
    def loading(self) -> bool:
        """Its first replica is being made; fetching its weights is not that yet."""
        return self.starting and not self.target.download

    @property
    def making(self) -> bool:
        """A replica is being loaded right now."""
        return self._loading is not None

    @property
    def resident(self) -> int:
        """Copies that are in memory, those included that end with their last lease."""
        return len(self.replicas) + len(self._retiring)

    @property
    def occupies(self) -> bool:
        """It is in memory, or about to be."""
        return bool(self.replicas) or self.making

    @property
    def idle(self) -> bool:
        return self.tickets == 0 and self._starting is None and all(not replica.leases for replica in self.replicas)

    def admit(self) -> None:
        """Count a caller in. Raises ``QueueFull``, ``ModelFailed`` or ``ShuttingDown``."""
        if self._closed:
            raise ShuttingDown("the server is going down", retry_after_s=5)
        if (rest := self._rest.left_s) > 0:
            raise ModelFailed(
                f"model {self.target.spec.load.model.id!r} failed repeatedly and rests for {rest:.0f} s",
                retry_after_s=rest,
            )
        serving = sum(replica.worker.loaded.max_concurrency for replica in self.replicas) or 1
        if self.tickets >= serving + self._policy.queue_max:
            raise QueueFull(
                f"{self.waiting} requests already wait for model {self.target.spec.load.model.id!r}",
                retry_after_s=self.estimate_s(),
            )
        self.tickets += 1
        self.last_used = self._clock()

    def leave(self) -> None:
        """Count a caller out."""
        self.tickets -= 1
        self.last_used = self._clock()

    def estimate_s(self) -> float:
        """Guess how long a new caller would wait."""
        lanes = max(1, sum(replica.worker.loaded.max_concurrency for replica in self.replicas))
        return max(1.0, self._lease_s * (self.waiting + 1) / lanes)

    # leases

    async def lease(self, *, caller: str, live: bool, first: bool, spent: Spent, alone: bool = False) -> Replica:
        """Wait for a replica, with nobody beside the caller if ``alone``.

        Raises what stopped it from starting, or ``QueueFull`` after a first wait too long.
        """
        since, loading = self._clock(), not self.replicas
        replica = self._take_free(alone) if not len(self._line) else None
        if replica is None:
            replica = await self._wait(caller, live, alone, self._policy.queue_wait_s if first else None)
        waited_ms = (self._clock() - since) * 1000
        if loading:
            spent.load_ms += waited_ms
        else:
            spent.queue_ms += waited_ms
        return replica

    async def _wait(self, caller: str, live: bool, alone: bool, limit_s: float | None) -> Replica:
        waiter = self._line.join(caller, live=live, alone=alone)
        self._grow()
        # A load has its own watchdog; waiting for it is no queueing.
        limit_s = limit_s if self.replicas else None
        try:
            return await self._line.turn(waiter, limit_s)
        except TimeoutError:
            raise QueueFull(f"no engine was free within {limit_s:g} s", retry_after_s=self.estimate_s()) from None

    def _give_back(self, replica: Replica, alone: bool) -> None:
        self.release(replica, 0.0, alone=alone)

    def _take_free(self, alone: bool) -> Replica | None:
        free = [replica for replica in self.replicas if replica.free(alone)]
        if not free:
            return None
        replica = min(free, key=lambda replica: replica.leases)
        replica.leases += replica.lanes if alone else 1
        return replica

    def release(self, replica: Replica, seconds: float, *, alone: bool = False) -> None:
        """Give a lease back; the replica serves the next once its cancelled calls have ended."""
        if seconds:
            self._lease_s += 0.2 * (seconds - self._lease_s)
        if replica.lanes > 1 or replica.worker.settled() or not replica.worker.alive:
            self._released(replica, replica.lanes if alone else 1)
        else:
            self._spawn(self._settle(replica))

    def _released(self, replica: Replica, lanes: int) -> None:
        replica.leases -= lanes
        replica.returned.set()
        replica.last_used = self.last_used = self._clock()
        self._dispatch()

    async def _settle(self, replica: Replica) -> None:
        """Wait for a cancelled step to end; past twice the promise, and if anyone waits, kill.

        A step that was slower before is no fault: the promise may have been made for a faster machine.
        """
        since = self._clock()
        promised_s = replica.worker.loaded.cancel_s or self.target.cancel_s
        most_s = 2 * max(promised_s, replica.worker.slowest_step_s)
        while not replica.worker.settled():
            with suppress(TimeoutError):
                async with asyncio.timeout(min(0.2, promised_s)):
                    await replica.worker.wait_settled()
            overdue = self._clock() - since > most_s
            if overdue and len(self._line) and replica.worker.alive:
                log.warning("%s did not stop within %g s and is replaced", self.target.key, most_s)
                replica.worker.ending = True
                replica.worker.kill()
        self._released(replica, 1)

    def _dispatch(self) -> None:
        self._line.serve()
        self._grow()

    # replicas

    def prepare(self) -> None:
        """Start the first replica for a caller that will soon lease it."""
        if not (self._closed or self.replicas or self._starting or self.failed):
            self._starting = asyncio.create_task(self._start())

    def _grow(self) -> None:
        """Start a replica when callers wait and none is on its way."""
        if self._closed or self._starting is not None or not len(self._line):
            return
        if not self.replicas or self._may_widen():
            self._starting = asyncio.create_task(self._start())

    def spare(self) -> bool:
        """Say whether a replica is free and nobody waits for it."""
        return not len(self._line) and any(replica.free(alone=False) for replica in self.replicas)

    def widen(self) -> None:
        """Start a further replica for one caller's parallel work, as far as the cores go."""
        starting = self._closed or self._starting is not None
        if self.replicas and not starting and not self.failed and self._may_widen():
            self._starting = asyncio.create_task(self._start())

    def _may_widen(self) -> bool:
        return len(self.replicas) < self.target.max_replicas and self._pool.fits_beside(self.target)

    async def ensure(self) -> None:
        """Load the model if no replica is ready, as a caller without work."""
        if not self.replicas:
            self.admit()
            try:
                replica = await self.lease(caller="", live=False, first=False, spent=Spent())
                self.release(replica, 0.0)
            finally:
                self.leave()

    async def _start(self) -> None:
        replica: Replica | None = None
        error: OpenSpeechError | None = None
        try:
            replica = await self._load()
        except OpenSpeechError as raised:
            error = raised
            log.warning("%s could not be loaded: %s", self.target.key, raised.message)
        except Exception:  # fence: background task
            log.exception("%s could not be started", self.target.key)
            error = WorkerDied("a worker could not be started")
        finally:
            self._starting = None
        if replica is None:
            self._failed(error or WorkerDied("a worker could not be started"))
            return
        self.error = None
        self.replicas.append(replica)
        self.loaded_at = self.loaded_at or self._clock()
        self._spawn(self._watch(replica))
        self._dispatch()

    async def _load(self) -> Replica:
        """Start a worker and make its engine; whatever fails, the worker is gone."""
        if not self.replicas:
            await self._prepare_to_load()
        target = self._loading = self.target
        worker = self._pool.make(target)
        try:
            await worker.start()
            await worker.load(target.spec)
        except BaseException:
            worker.ending = True
            worker.kill()
            raise
        finally:
            self._loading = None
        self._spawn(self._pool.measure(target, worker))
        return Replica(worker, self._clock(), target.interpreter)

    async def _prepare_to_load(self) -> None:
        """Fetch what is missing, and only then make room: a download takes nobody's place."""
        if self.target.download:
            await self._pool.fetch(self.target)
            self.target = structs.replace(self.target, download=False)
        while True:
            try:
                return await self._pool.make_room(self)
            except InsufficientMemory:
                if not self._retiring:
                    raise
                await self._gone(next(iter(self._retiring)))

    def _failed(self, error: OpenSpeechError) -> None:
        """Tell everyone who waits, unless other replicas serve them."""
        if isinstance(error, WorkerDied | StepTimeout):
            self._count_death()
        if self.replicas:
            return
        self.error = error.info()
        self._line.fail(error)

    async def _watch(self, replica: Replica) -> None:
        await replica.worker.gone.wait()
        if replica in self.replicas:
            self.replicas.remove(replica)
        if not self.replicas:
            self.loaded_at = None
        if not replica.worker.ending:
            log.warning("a worker of %s ended unexpectedly", self.target.key)
            if self.target.counted:
                self._count_death()
        if (rest := self._rest.left_s) > 0:
            self._failed(ModelFailed("the model failed repeatedly", retry_after_s=rest))
        self._dispatch()

    def _count_death(self) -> None:
        if rest := self._rest.count_death():
            log.error("%s failed repeatedly and rests for %.0f s", self.target.key, rest)

    @property
    def failed(self) -> bool:
        return self._rest.left_s > 0

    # the end

    def expire(self) -> None:
        """End replicas that have been idle for the TTL."""
        if not self._policy.ttl_s or self._starting is not None or self.waiting:
            return
        kept = 1 if self.pinned else 0
        for replica in self.replicas[kept:]:
            if not replica.leases and self._clock() - replica.last_used >= self._policy.ttl_s:
                self._spawn(self._retire(replica))

    def ttl_remaining_s(self) -> float | None:
        """Give the seconds until it is unloaded if nobody asks; None when it is not loaded or stays."""
        if not self.replicas or self.pinned or not self._policy.ttl_s:
            return None
        if any(replica.leases for replica in self.replicas):
            return self._policy.ttl_s
        used = max(replica.last_used for replica in self.replicas)
        return max(0.0, self._policy.ttl_s - (self._clock() - used))

    async def unload(self) -> None:
        """End every replica once its leases are back; returns when the processes are gone. It is pinned no more."""
        self.pinned = False
        await asyncio.gather(*(self._retire(replica) for replica in list(self.replicas)))

    async def leave_interpreter(self, old: str, new: str | None) -> None:
        """Make replicas under ``new`` from now on and end those under ``old`` as their leases end.

        Returns when no process of ``old`` is left. What was pinned is loaded again; ``new`` is None where the provider
        goes for good.
        """
        if new is None:
            self.pinned = False
        elif self.target.interpreter == old:
            self.target = structs.replace(self.target, interpreter=new)
        while True:
            under = [replica for replica in self.replicas if replica.interpreter == old]
            leaving = [replica for replica in self._retiring if replica.interpreter == old]
            if under:
                for replica in under:
                    self._withdraw(replica)
                # Who waits for one of them need not.
                self._dispatch()
                await asyncio.gather(*(self._retire(replica) for replica in under))
            elif leaving:
                await self._gone(leaving[0])
            elif self._starting is not None and self._loading is not None and self._loading.interpreter == old:
                await asyncio.wait([self._starting])
            else:
                break
        if self.pinned:
            self.prepare()

    async def _retire(self, replica: Replica) -> None:
        """Take a replica out of service, let its last lease end, then end its process."""
        self._withdraw(replica)
        while replica.leases and replica.worker.alive:
            replica.returned.clear()
            await replica.returned.wait()
        if replica.worker.alive:
            await self._pool.measure(self.target, replica.worker)
        replica.worker.end()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await replica.worker.gone.wait()
        replica.worker.kill()
        await self._gone(replica)

    def _withdraw(self, replica: Replica) -> None:
        """Give a replica to nobody any more; it stays resident until it is gone."""
        replica.worker.ending = True
        self._retiring.add(replica)
        if replica in self.replicas:
            self.replicas.remove(replica)
        if not self.replicas:
            self.loaded_at = None

    async def _gone(self, replica: Replica) -> None:
        """Wait until a replica that was taken out of service is no more."""
        await replica.worker.gone.wait()
        self._retiring.discard(replica)

    async def close(self) -> None:
        """End everything now and refuse callers."""
        self._closed = True
        if self._starting is not None:
            self._starting.cancel()
            with suppress(asyncio.CancelledError):
                await self._starting
        self._failed(ShuttingDown("the server is going down", retry_after_s=5))
        for replica in list(self.replicas):
            replica.worker.ending = True
            replica.worker.kill(ShuttingDown("the server is going down"))
        for replica in list(self.replicas):
            await replica.worker.gone.wait()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
