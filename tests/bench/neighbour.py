"""Beside a process that takes a whole core: one transcription, and eight at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from . import estimates
from .client import Upload
from .crowd import closed_loop
from .machine import usable_cores
from .results import Result, judged
from .stage import Stage

SPIN = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"
REST_S = 0.2
CLIENTS = 8
COLLAPSE = 1.25 * CLIENTS
"""Times one transcription beside the neighbour: a quarter more than eight that come one after another."""


class Neighbour:
    """A process that spins on one core, or is stopped."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def spin(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        time.sleep(REST_S)

    def rest(self) -> None:
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(REST_S)


@contextmanager
def neighbour() -> Iterator[Neighbour]:
    """Keep a neighbour, at rest first, on the first core this process may use."""
    core = min(os.sched_getaffinity(0))
    process = subprocess.Popen([sys.executable, "-c", SPIN, str(core)])
    try:
        made = Neighbour(process)
        made.rest()
        yield made
    finally:
        process.kill()
        process.wait()


def measure(stage: Stage) -> Iterator[Result]:
    """Take turns, quiet and beside the neighbour; then send eight clients."""
    upload = Upload.of(stage.clips.short)
    quiet: list[float] = []
    beside: list[float] = []
    with stage.server() as server, neighbour() as busy:
        stage.warm(server)
        with stage.client(server) as client:
            for number in range(stage.rounds(20, 3)):
                turns = [(quiet, busy.rest), (beside, busy.spin)]
                for taken, prepare in turns if number % 2 else reversed(turns):
                    prepare()
                    taken.append(client.transcribe(upload).total_s)
        busy.spin()
        _, crowded = closed_loop(server.port, CLIENTS, stage.rounds(4, 1), lambda client: client.transcribe(upload))
    alone = estimates.median(quiet).value
    yield judged(
        "neighbour/transcription 11 s beside a busy core",
        estimates.ratio(beside, quiet),
        "x",
        at_most=1.7,
        notes=[
            f"a process spins on one of {usable_cores()} cores; quiet {alone:.3f} s, "
            f"beside it {estimates.median(beside).value:.3f} s"
        ],
    )
    yield judged(
        f"neighbour/slowest of {CLIENTS} clients, to one, beside a busy core",
        estimates.worst([seconds / estimates.median(beside).value for seconds in crowded]),
        "x",
        at_most=COLLAPSE,
        notes=[
            f"{CLIENTS} one after another would be {CLIENTS}; the bound is a quarter more. "
            f"The slowest took {max(crowded):.2f} s"
        ],
    )
