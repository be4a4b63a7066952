"""Frames that came back, sorted by call, for the coroutines that await them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from msgspec import Struct

from open_speech_core.errors import OpenSpeechError, StepTimeout, WorkerDied
from open_speech_core.worker import protocol as p


class Dead(Struct, frozen=True, kw_only=True):
    """Put in every box when the worker has ended."""

    error: OpenSpeechError


class Box:
    """The frames of one call or session."""

    def __init__(self, call: int) -> None:
        self.call = call
        self.queue: asyncio.Queue[p.FromWorker | Dead] = asyncio.Queue()
        self.abandoned = False
        """Nobody reads any more; it stays until the worker says that the call has ended."""


class Mailboxes:
    """All boxes of one worker; belongs to the event loop."""

    def __init__(self, kill: Callable[[OpenSpeechError], None]) -> None:
        self.settled = asyncio.Event()
        """Set while no call is under way, cancelled ones included."""
        self.settled.set()
        self._kill = kill
        self._boxes: dict[int, Box] = {}
        self._ids = itertools.count(1)

    def open(self) -> Box:
        """Make a box for a new call."""
        box = Box(next(self._ids))
        self._boxes[box.call] = box
        self.settled.clear()
        return box

    def close(self, box: Box) -> bool:
        """Forget a box. False when it was forgotten before."""
        known = self._boxes.pop(box.call, None) is not None
        if not self._boxes:
            self.settled.set()
        return known

    def abandon(self, box: Box) -> bool:
        """Stop reading a box. True when its call still runs, so that it must be cancelled.

        Its end may lie in the box unread: then nothing more will come, and waiting for it would be for ever.
        """
        box.abandoned = True
        while not box.queue.empty():
            if isinstance(box.queue.get_nowait(), p.Done | p.Failed | Dead):
                self.close(box)
                return False
        return True

    async def next(self, box: Box, limit_s: float, doing: str) -> p.FromWorker:
        """Await a call's next frame; a worker that gives none for ``limit_s`` is killed.

        Raises:
            StepTimeout: it gave none.
            OpenSpeechError: the worker has ended.
        """
        try:
            async with asyncio.timeout(limit_s):
                frame = await box.queue.get()
        except TimeoutError:
            error = StepTimeout(f"{doing} showed no progress for {limit_s:g} s and was stopped")
            self._kill(error)
            raise error from None
        if isinstance(frame, Dead):
            raise frame.error
        return frame

    def deliver(self, frame: p.ItemFrame | p.Ready | p.Progress | p.Done | p.Failed) -> None:
        """Put a frame where it belongs."""
        box = self._boxes.get(frame.call)
        if box is None:
            return
        if not box.abandoned:
            box.queue.put_nowait(frame)
        elif isinstance(frame, p.Done | p.Failed):
            self.close(box)

    def end(self, error: OpenSpeechError) -> None:
        """Tell everyone that the worker has ended."""
        beside = len(self._boxes) > 1
        for box in self._boxes.values():
            own = type(error)(error.message)
            if isinstance(own, WorkerDied):
                own.beside = beside
            box.queue.put_nowait(Dead(error=own))
        self._boxes.clear()
        self.settled.set()
