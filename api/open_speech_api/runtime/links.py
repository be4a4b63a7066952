"""What carries frames to a runner: pipes of a process, or threads of this one."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping
from typing import Protocol

from open_speech_core.errors import ProtocolError
from open_speech_core.worker import protocol as p

log = logging.getLogger(__name__)

OnFrame = Callable[[p.FromWorker], None]
OnEnd = Callable[[], None]

PIPE_BYTES = 1 << 20
STREAM_LIMIT_BYTES = 1 << 20
"""Read-ahead of a worker's output; more waits in the pipe."""


class Link(Protocol):
    """Frames to and from one runner. All methods belong to the event loop."""

    pid: int | None

    async def start(self, on_frame: OnFrame, on_end: OnEnd) -> None:
        """Start the runner; ``on_end`` is called once when it is gone, however it went."""

    def send(self, frame: p.ToWorker) -> None:
        """Send a frame; to a runner that is gone, nothing happens."""

    def kill(self) -> None:
        """End the runner now."""

    async def ended(self) -> None:
        """Wait until the runner is gone."""


class ProcessLink:
    """A worker process of its own session, under this interpreter or another."""

    def __init__(self, environment: Mapping[str, str], interpreter: str | None = None) -> None:
        self.pid: int | None = None
        self._environment = dict(environment)
        self._interpreter = interpreter or sys.executable
        self._process: Process | None = None
        self._to_worker: asyncio.WriteTransport | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(self, on_frame: OnFrame, on_end: OnEnd) -> None:
        (worker_in, to_worker), (from_worker, worker_out) = _pipe(), _pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                self._interpreter,
                # Without -P the working directory comes first on the path, and a file there can stand in for a module.
                "-P",
                "-m",
                "open_speech_core.worker",
                stdin=worker_in,
                stdout=worker_out,
                stderr=PIPE if log.isEnabledFor(logging.DEBUG) else DEVNULL,
                env=self._environment,
                start_new_session=True,
            )
        except BaseException:
            os.close(to_worker)
            os.close(from_worker)
            raise
        finally:
            os.close(worker_in)
            os.close(worker_out)
        self.pid = self._process.pid
        loop = asyncio.get_running_loop()
        self._to_worker, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(to_worker, "wb", 0))
        frames = asyncio.StreamReader(STREAM_LIMIT_BYTES)
        reading, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(frames), os.fdopen(from_worker, "rb", 0)
        )
        self._reader = asyncio.create_task(self._read(self._process, frames, reading, on_frame, on_end))
        if self._process.stderr is not None:
            self._errors = asyncio.create_task(self._log_errors(self._process.stderr))

    def send(self, frame: p.ToWorker) -> None:
        if self._to_worker is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._to_worker.write(p.encode(frame))

    def kill(self) -> None:
        # Not Process.kill: it polls first, and so reaps a child that the loop's watcher waits for.
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)

    async def ended(self) -> None:
        if self._reader is not None:
            await asyncio.wait([self._reader])

    async def _read(
        self,
        process: Process,
        frames: asyncio.StreamReader,
        reading: asyncio.ReadTransport,
        on_frame: OnFrame,
        on_end: OnEnd,
    ) -> None:
        try:
            while True:
                size = p.frame_size(await frames.readexactly(p.PREFIX.size))
                on_frame(p.decode_from_worker(await frames.readexactly(size)))
        except (asyncio.IncompleteReadError, OSError):
            pass
        except ProtocolError as error:
            log.error("worker %s: %s", self.pid, error.message)
        finally:
            self.kill()
            await process.wait()
            reading.close()
            if self._to_worker is not None:
                self._to_worker.close()
            on_end()

    async def _log_errors(self, stream: asyncio.StreamReader) -> None:
        with contextlib.suppress(ValueError):
            while line := await stream.readline():
                log.debug("worker %s: %s", self.pid, line.decode(errors="replace").rstrip())


def _pipe() -> tuple[int, int]:
    """Make a pipe that holds a second of samples at any rate, so that neither side wakes for parts of one."""
    ends = os.pipe()
    if sys.platform == "linux":
        # Over the user's limit of pipe memory, the usual 64 KiB remain.
        with contextlib.suppress(OSError):
            fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return ends


class InlineLink:
    """The same runner on threads of this process: for tests and tiny devices. A thread cannot be killed."""

    def __init__(self) -> None:
        self.pid: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gone = asyncio.Event()
        self._on_end: OnEnd | None = None

    async def start(self, on_frame: OnFrame, on_end: OnEnd) -> None:
        from open_speech_core.worker.runner import Runner

        loop = self._loop = asyncio.get_running_loop()
        self._on_end = on_end

        def send(frame: p.FromWorker) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._deliver, on_frame, frame)

        self._runner = Runner(send)
        send(self._runner.hello())

    def _deliver(self, on_frame: OnFrame, frame: p.FromWorker) -> None:
        if not self._gone.is_set():
            on_frame(frame)

    def send(self, frame: p.ToWorker) -> None:
        if not self._gone.is_set() and not self._runner.take(frame):
            self.kill()

    def kill(self) -> None:
        if self._loop is not None and not self._gone.is_set():
            self._gone.set()
            self._loop.run_in_executor(None, self._runner.close)
            if self._on_end is not None:
                self._loop.call_soon(self._on_end)

    async def ended(self) -> None:
        await self._gone.wait()
