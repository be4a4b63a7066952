"""Who waits for a replica of one model, and is handed one in turn."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable

from open_speech_core.errors import OpenSpeechError

from .queue import FairQueue
from .replica import Replica


class Waiter:
    """A caller in the line; ``alone`` wants every lane of a replica."""

    def __init__(self, alone: bool) -> None:
        self.alone = alone
        self.granted: asyncio.Future[Replica] = asyncio.get_running_loop().create_future()


class Line:
    """Callers in a fair order. Belongs to the event loop."""

    def __init__(self, take: Callable[[bool], Replica | None], give_back: Callable[[Replica, bool], None]) -> None:
        """``take`` leases a replica that is free, to one caller alone if told so; ``give_back`` ends such a lease."""
        self._take = take
        self._give_back = give_back
        self._queue: FairQueue[Waiter] = FairQueue()

    def __len__(self) -> int:
        return len(self._queue)

    def join(self, caller: str, *, live: bool, alone: bool) -> Waiter:
        """Stand behind those who came before."""
        waiter = Waiter(alone)
        self._queue.push(waiter, caller=caller, live=live)
        return waiter

    async def turn(self, waiter: Waiter, limit_s: float | None) -> Replica:
        """Wait to be handed a replica. Raises ``TimeoutError``, or what ``fail`` told everyone."""
        claimed = False
        try:
            async with asyncio.timeout(limit_s):
                replica = await waiter.granted
                claimed = True
                return replica
        finally:
            if not claimed:
                self._queue.remove(waiter)
                self._returned(waiter)

    def _returned(self, waiter: Waiter) -> None:
        """Give back a replica that was granted in the very moment its caller left."""
        granted = waiter.granted
        if granted.done() and not granted.cancelled() and granted.exception() is None:
            self._give_back(granted.result(), waiter.alone)

    def serve(self) -> None:
        """Hand out replicas as long as one is free and somebody waits."""
        while len(self._queue):
            waiter = self._queue.peek()
            if waiter.granted.done():
                self._queue.pop()
                continue
            replica = self._take(waiter.alone)
            if replica is None:
                return
            self._queue.pop()
            waiter.granted.set_result(replica)

    def fail(self, error: OpenSpeechError) -> None:
        """Send everyone away, each with a copy: a raised exception carries the trace of whoever raised it."""
        while len(self._queue):
            waiter = self._queue.pop()
            if not waiter.granted.done():
                waiter.granted.set_exception(copy.copy(error))
                # The waiter may have left in this very moment.
                waiter.granted.exception()
