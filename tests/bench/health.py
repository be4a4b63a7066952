"""How soon ``/health`` answers while everything else is busy, beside a server that does nothing."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ..api.serving import clean_environment, free_port
from . import estimates
from .crowd import crowd
from .results import Result, judged
from .stage import Stage

LISTENERS = SPEAKERS = 8
PAUSE_S = 0.01
P99 = 0.99


def measure(stage: Stage) -> Iterator[Result]:
    """Probe both servers in turns, each time on a new connection, while a crowd works on ours."""
    probes = stage.rounds(1000, 100)
    ours: list[float] = []
    theirs: list[float] = []
    with stage.server() as server, idle_server() as idle_port:
        stage.warm(server)
        with crowd(server, stage.clips.short, LISTENERS, SPEAKERS) as running:
            time.sleep(stage.rounds(5, 2))
            for number in range(probes):
                turns = [(ours, server.port), (theirs, idle_port)]
                for taken, port in turns if number % 2 else reversed(turns):
                    taken.append(probe(port) * 1000)
                    time.sleep(PAUSE_S)
            if running.poll() is not None:
                raise RuntimeError("the crowd left early")
    yield judged(
        "health/p99 beyond a do-nothing server",
        estimates.quantile_difference(ours, theirs, P99),
        "ms",
        at_most=5,
        notes=[
            f"{LISTENERS} transcriptions and {SPEAKERS} syntheses in closed loops",
            f"ours: {_spread(ours)}; the do-nothing server under the same load: {_spread(theirs)}",
        ],
    )


def probe(port: int) -> float:
    """Ask for ``/health`` on a new connection; give the seconds to the last byte."""
    since = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while received := connection.recv(4096):
            answer += received
    seconds = time.perf_counter() - since
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"/health answered {answer[:40]!r}")
    return seconds


@contextmanager
def idle_server() -> Iterator[int]:
    """Run the do-nothing server; give its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.idle_server", str(port)],
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        await_health(port, process)
        yield port
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


def await_health(port: int, process: subprocess.Popen[bytes], within_s: float = 30.0) -> float:
    """Wait for the first answer; give the seconds it took. Probes cost the starting process next to nothing."""
    since = time.perf_counter()
    while time.perf_counter() - since < within_s and process.poll() is None:
        try:
            probe(port)
        except OSError:
            time.sleep(0.005)
            continue
        return time.perf_counter() - since
    raise RuntimeError("a server did not start")


def _spread(milliseconds: list[float]) -> str:
    p50, p99 = np.quantile(milliseconds, [0.5, P99])
    return f"p50 {p50:.1f}, p99 {p99:.1f}, most {max(milliseconds):.1f} ms"
