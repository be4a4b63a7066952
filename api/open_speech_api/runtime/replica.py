"""One worker of a model, who holds it, and who waits for one."""

from __future__ import annotations

import asyncio

from .worker import Worker


class Waiter:
    """A caller in the queue; ``alone`` wants every lane of a replica."""

    def __init__(self, alone: bool) -> None:
        self.alone = alone
        self.granted: asyncio.Future[Replica] = asyncio.get_running_loop().create_future()


class Replica:
    """A worker of a fleet and how many of its lanes are leased."""

    def __init__(self, worker: Worker, now: float, interpreter: str | None = None) -> None:
        self.worker = worker
        self.interpreter = interpreter
        """Whose environment it runs in; None for the server's."""
        self.leases = 0
        self.last_used = now
        self.returned = asyncio.Event()
        """Set whenever a lease came back."""

    @property
    def lanes(self) -> int:
        return self.worker.loaded.max_concurrency

    def free(self, alone: bool) -> bool:
        wanted = self.lanes if alone else 1
        return self.worker.alive and not self.worker.ending and self.leases + wanted <= self.lanes
