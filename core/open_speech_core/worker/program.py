"""The worker process: reads frames on its main thread, writes them from any, dies with its server."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading

from open_speech_core.errors import ProtocolError

from . import protocol as p
from .runner import Runner

PR_SET_PDEATHSIG = 1
"""prctl(2): the kernel ends this process with its parent."""


def main(channel_in: int, channel_out: int) -> None:
    """Serve one server over two descriptors until it closes, asks to end, or dies."""
    _live_and_die_quietly()
    channel = Channel(channel_in, channel_out)
    logging.basicConfig(level=os.environ.get("OS_LOG_LEVEL", "WARNING").upper(), handlers=[_Forward(channel)])
    runner = Runner(channel.send)
    channel.send(runner.hello())
    while True:
        frame = channel.receive()
        if frame is None:
            os._exit(0)
        if not runner.take(frame):
            break
    # A native library may hang in its destructors; unload means that the memory is back.
    threading.Timer(2.0, os._exit, (0,)).start()
    runner.close()
    os._exit(0)


def _live_and_die_quietly() -> None:
    parent = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(int(os.environ.get("OS_WORKER_NICE", "2")))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(0)


class Channel:
    """Frames over two descriptors. ``send`` may be called from any thread, ``receive`` from one."""

    def __init__(self, channel_in: int, channel_out: int) -> None:
        self._in = os.fdopen(channel_in, "rb", buffering=1 << 16)
        self._out = channel_out
        self._lock = threading.Lock()

    def send(self, frame: p.FromWorker) -> None:
        """Write one frame; a server that is gone ends the process."""
        view = memoryview(p.encode(frame))
        with self._lock:
            try:
                while view:
                    view = view[os.write(self._out, view) :]
            except OSError:
                os._exit(0)

    def receive(self) -> p.ToWorker | None:
        """Read one frame; None at the end of the file, or where what comes is no frame."""
        try:
            prefix = self._in.read(p.PREFIX.size)
            if len(prefix) < p.PREFIX.size:
                return None
            payload = self._in.read(size := p.frame_size(prefix))
            return p.decode_to_worker(payload) if len(payload) == size else None
        except ProtocolError:
            logging.getLogger(__name__).exception("the server sent a frame this worker cannot read")
            return None


class _Forward(logging.Handler):
    """Sends log records to the server, which owns the log."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel
        self.setFormatter(logging.Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        self._channel.send(p.Log(level=record.levelno, logger=record.name, message=self.format(record)))
