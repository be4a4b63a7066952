"""What every measurement is given: a folder, the audio, how thorough to be, and servers to measure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

from ..api.serving import ECHO, STARTER, Running
from .client import Client, Upload
from .clips import PARAGRAPH, SENTENCE, Clips
from .machine import usable_cores
from .processes import await_idle
from .results import Result

__all__ = ["ECHO", "STARTER", "Measurement", "Running", "Stage"]


FULL_WINDOW = {"WHISPER_FITTED_WINDOW": "false"}
"""Makes our Whisper do all that the library does: by default it encodes no more than was said, which is faster."""


class Stage:
    """The benchmark's folder and depth."""

    def __init__(self, speech: Path, folder: Path, *, quick: bool) -> None:
        self.speech = speech
        self.folder = folder
        self.quick = quick
        self.clips = Clips(speech, folder)
        self._servers = itertools.count()

    def rounds(self, full: int, quick: int) -> int:
        """Choose how often something is repeated."""
        return quick if self.quick else full

    @contextmanager
    def server(self, *plugins: str, **environ: str) -> Iterator[Running]:
        """Run a server of its own for one measurement, with default settings but for ``environ``.

        Without ``plugins`` it has the starter's.
        """
        folder = self.folder / f"server-{next(self._servers)}"
        folder.mkdir()
        server = Running(folder, plugins or STARTER, environ)
        try:
            yield server
        finally:
            server.stop()

    @contextmanager
    def client(self, server: Running) -> Iterator[Client]:
        """Connect to a server."""
        client = Client(server.port)
        try:
            yield client
        finally:
            client.close()

    def warm(self, server: Running) -> None:
        """Load everything, on every replica: more callers than there are cores, twice, each way."""
        short = Upload.of(self.clips.short)
        ways: tuple[Callable[[Client], object], ...] = (
            lambda client: client.transcribe(short),
            lambda client: client.transcribe(short),
            lambda client: client.speak(PARAGRAPH, "mp3"),
            lambda client: [client.speak(SENTENCE, format) for format in ("pcm", "opus")],
        )
        for way in ways:
            together(server, usable_cores() + 1, way)
            await_idle(server)


def together(server: Running, callers: int, act: Callable[[Client], object]) -> None:
    """Let callers act at the same time, each on a connection and a thread of its own; raise what one raised."""
    with ExitStack() as stack, ThreadPoolExecutor(callers) as threads:
        clients = [Client(server.port) for _ in range(callers)]
        for client in clients:
            stack.callback(client.close)
        list(threads.map(act, clients))


Measurement: TypeAlias = Callable[[Stage], Iterator[Result]]
