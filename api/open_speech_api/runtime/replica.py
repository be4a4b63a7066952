"""One worker of a model, and who holds it."""

from __future__ import annotations

import asyncio

from .worker import Worker


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
