"""Weights on their way: one download a model however many ask, each in a worker of its own."""

from __future__ import annotations

import asyncio
import copy
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Literal

from msgspec import Struct, structs

from open_speech_core.errors import DownloadFailed, ErrorInfo, OpenSpeechError
from open_speech_core.types import Artifacts
from open_speech_core.worker.protocol import Progress

from .fleet import END_S
from .target import Target
from .worker import Worker

log = logging.getLogger(__name__)

SPEED_OVER_S = 5.0
"""The speed shown is that of the last seconds."""


class Download(Struct, frozen=True, kw_only=True):
    """A download as it is at one moment."""

    state: Literal["queued", "downloading", "failed"]
    bytes_done: int = 0
    """What is on this machine; it never shrinks."""
    bytes_total: int = 0
    """0 until the size is known."""
    speed_bps: float = 0.0
    """Bytes a second, over the last seconds."""
    eta_s: float | None = None
    error: ErrorInfo | None = None
    """What the last attempt ended in, until another begins."""


class Downloads:
    """Fetches weights in processes that import no engine. Belongs to the event loop."""

    def __init__(
        self,
        make: Callable[[Target], Worker],
        noted: Callable[[Target, Artifacts], None],
        *,
        at_once: int = 2,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._noted = noted
        self._clock = clock
        self._places = asyncio.Semaphore(at_once)
        self._running: dict[str, _Running] = {}
        self._failed: dict[str, Download] = {}
        self._fetched: dict[str, int] = {}

    async def fetch(self, target: Target) -> None:
        """Return when the weights are whole, beginning a download if none runs. A caller that leaves ends nothing.

        Raises:
            DownloadFailed: it failed, or was cancelled; each caller gets an error of its own.
            OpenSpeechError: what else the provider ended in, such as ``StorageFull``.
        """
        task = self._begun(target).task
        await asyncio.wait([task])
        error = _cancelled(target) if task.cancelled() else task.result()
        if error is not None:
            raise copy.copy(error)

    def begin(self, target: Target) -> None:
        """Begin a download, if none of this model runs, and do not wait."""
        self._begun(target)

    def find(self, key: str) -> Download | None:
        """Look at a model's download; None when none runs and the last did not fail."""
        running = self._running.get(key)
        return running.snapshot() if running is not None else self._failed.get(key)

    def fetched_bytes(self, key: str) -> int | None:
        """Give the bytes of a model that was fetched since the start: a listed model's own figure is only near."""
        return self._fetched.get(key)

    def running(self) -> list[Target]:
        """Give what is being fetched, or waits for its turn."""
        return [running.target for running in self._running.values()]

    async def cancel(self, key: str) -> bool:
        """End a download and its process; what came stays for the next. False when none runs."""
        running = self._running.get(key)
        if running is None:
            return False
        running.task.cancel()
        await asyncio.wait([running.task])
        # One that had not begun to run could not do so itself.
        self._running.pop(key, None)
        self._failed.pop(key, None)
        return True

    async def close(self) -> None:
        """End them all."""
        await asyncio.gather(*(self.cancel(key) for key in list(self._running)))

    def _begun(self, target: Target) -> _Running:
        running = self._running.get(target.key)
        if running is None:
            running = self._running[target.key] = _Running(target, self._clock)
            running.task = asyncio.create_task(self._run(running, target))
            self._failed.pop(target.key, None)
        return running

    async def _run(self, running: _Running, target: Target) -> OpenSpeechError | None:
        """Download, and give what it failed with: every waiter raises a copy."""
        error: OpenSpeechError | None = None
        try:
            async with self._places:
                running.waits = False
                await self._download(running, target)
        except asyncio.CancelledError:
            error = _cancelled(target)
        except OpenSpeechError as raised:
            error = raised
        except Exception:  # fence: background task
            log.exception("the download of %s broke", target.key)
            error = DownloadFailed(f"the download of {target.spec.load.model.id!r} ended unexpectedly")
        del self._running[target.key]
        if error is None:
            self._fetched[target.key] = running.snapshot().bytes_total
        else:
            log.warning("%s was not downloaded: %s", target.key, error.message)
            self._failed[target.key] = structs.replace(running.snapshot(), state="failed", error=error.info())
        return error

    async def _download(self, running: _Running, target: Target) -> None:
        # Even where engines run inline: a thread could not be ended.
        worker = self._make(structs.replace(target, inline=False))
        try:
            await worker.start()
            async with aclosing(worker.download(target.spec)) as frames:
                async for frame in frames:
                    if isinstance(frame, Progress):
                        running.advance(int(frame.done), int(frame.total))
                    else:
                        self._noted(target, frame)
            await _ended(worker)
        finally:
            worker.ending = True
            worker.kill()
            if worker.alive:
                await worker.gone.wait()


def _cancelled(target: Target) -> DownloadFailed:
    return DownloadFailed(f"the download of {target.spec.load.model.id!r} was cancelled")


async def _ended(worker: Worker) -> None:
    """Let a worker end by itself, for a while."""
    worker.end()
    with suppress(TimeoutError):
        async with asyncio.timeout(END_S):
            await worker.gone.wait()


class _Running:
    """A download at work and how far it is."""

    task: asyncio.Task[OpenSpeechError | None]

    def __init__(self, target: Target, clock: Callable[[], float]) -> None:
        self.target = target
        self.waits = True
        self._clock = clock
        self._done = 0
        self._total = 0
        self._recent: deque[tuple[float, int]] = deque()

    def advance(self, done: int, total: int) -> None:
        """Note how many bytes are here. Fewer than before are ignored: parts are renamed while they are counted."""
        self._done = max(self._done, done)
        self._total = max(self._total, total)
        now = self._clock()
        self._recent.append((now, self._done))
        while now - self._recent[0][0] > SPEED_OVER_S:
            self._recent.popleft()

    def snapshot(self) -> Download:
        speed = self._speed()
        left = self._total - self._done
        return Download(
            state="queued" if self.waits else "downloading",
            bytes_done=self._done,
            bytes_total=self._total,
            speed_bps=speed,
            eta_s=left / speed if speed else None,
        )

    def _speed(self) -> float:
        if not self._recent:
            return 0.0
        since, before = self._recent[0]
        # Up to now: one that stalls is seen to slow down.
        return (self._done - before) / seconds if (seconds := self._clock() - since) > 0 else 0.0
