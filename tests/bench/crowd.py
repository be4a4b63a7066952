"""Callers in closed loops: each asks anew as soon as it is answered.

As a program it keeps a crowd busy from a process of its own until its stdin ends, so that who measures beside it
shares no interpreter with it: ``python -m tests.bench.crowd PORT WAV LISTENERS SPEAKERS``.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..api.serving import Running, clean_environment
from .client import Answer, Client, Upload
from .clips import PARAGRAPH


def closed_loop(port: int, callers: int, times: int, act: Callable[[Client], Answer]) -> tuple[float, list[float]]:
    """Let callers act ``times`` times each; give the seconds it all took, and those of each answer."""
    latencies: list[float] = []
    failures: list[Exception] = []
    clients = [Client(port) for _ in range(callers)]

    def loop(client: Client) -> None:
        try:
            for _ in range(times):
                latencies.append(act(client).total_s)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=loop, args=(client,)) for client in clients]
    since = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed_s = time.perf_counter() - since
    for client in clients:
        client.close()
    if failures:
        raise failures[0]
    return elapsed_s, latencies


@contextmanager
def crowd(server: Running, clip: Path, listeners: int, speakers: int) -> Iterator[subprocess.Popen[bytes]]:
    """Keep a crowd at a server while the block runs."""
    numbers = (str(server.port), str(clip), str(listeners), str(speakers))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.crowd", *numbers], env=clean_environment(), stdin=subprocess.PIPE
    )
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        process.wait(10)


def main(port: int, clip: Path, listeners: int, speakers: int) -> None:
    """Start the threads and wait for the end of stdin."""
    upload = Upload.of(clip)
    acts: list[Callable[[Client], object]] = [lambda client: client.transcribe(upload)] * listeners
    acts += [lambda client: client.speak(PARAGRAPH, "mp3")] * speakers
    for act in acts:
        threading.Thread(target=_for_ever, args=(port, act), daemon=True).start()
    sys.stdin.buffer.read()


def _for_ever(port: int, act: Callable[[Client], object]) -> None:
    client = Client(port)
    with suppress(OSError):
        while True:
            act(client)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
