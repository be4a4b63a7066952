"""The raw libraries, each in a process of its own, told what to do over its pipes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Literal

import msgspec
from msgspec import Struct

from ..api.serving import clean_environment
from .machine import usable_cores
from .raw_child import Command, Took

Engine = Literal["whisper", "fitted", "piper", "kokoro"]

REST_S = 0.3
"""Pause between contestants: OpenMP's threads spin for 0.2 s after a call and would disturb the next."""


class Raw:
    """One raw engine. It loads beside others; the first call waits for that."""

    def __init__(self, engine: Engine, threads: int, *more: str) -> None:
        self.threads = threads
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.raw_child", engine, str(threads), *more],
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._loaded = False

    def call(self, subject: str, *, vad: bool = True) -> float:
        """Do one call; give its seconds by the child's own clock."""
        return self.calls(subject, 1, vad=vad).seconds[0]

    def calls(self, subject: str, times: int, *, vad: bool = True) -> Took:
        """Do calls one after another."""
        assert self._process.stdin is not None
        if not self._loaded:
            self._take()
            self._loaded = True
        command = Command(subject=subject, times=times, vad=vad)
        self._process.stdin.write(msgspec.json.encode(command) + b"\n")
        self._process.stdin.flush()
        return self._take()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)

    def _take(self) -> Took:
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            raise RuntimeError("a raw engine ended unexpectedly")
        return msgspec.json.decode(line, type=Took)


@contextmanager
def raw(engine: Engine, threads: int, *more: str) -> Iterator[Raw]:
    """Run one raw engine; ``more`` is what its maker takes beside the threads."""
    running = Raw(engine, threads, *more)
    try:
        yield running
    finally:
        running.close()


class Choice(Struct, frozen=True, kw_only=True):
    """How fast each number of threads was, in seconds a call: the least, which others on the machine disturb least."""

    seconds: dict[int, float]

    @property
    def threads(self) -> int:
        """Give the best number."""
        return min(self.seconds, key=lambda threads: self.seconds[threads])

    def __str__(self) -> str:
        said = ", ".join(f"{threads} thread{'s' * (threads > 1)} {s:.3f} s" for threads, s in self.seconds.items())
        return f"raw alone: {said}"


def best_threads(engine: Engine, subject: str, rounds: int) -> Choice:
    """Try 1 to all cores, in turns, so that all meet the same weather."""
    with ExitStack() as stack:
        engines = [stack.enter_context(raw(engine, threads)) for threads in range(1, usable_cores() + 1)]
        taken: dict[int, list[float]] = {each.threads: [] for each in engines}
        for number in range(rounds + 1):
            for each in engines:
                time.sleep(REST_S)
                seconds = each.call(subject)
                if number:
                    taken[each.threads].append(seconds)
    return Choice(seconds={threads: min(found) for threads, found in taken.items()})


class Rate(Struct, frozen=True, kw_only=True):
    """Audio seconds done in a second of time by a number of raw processes."""

    threads: int
    processes: int
    audio_per_s: float

    def __str__(self) -> str:
        return f"{self.processes} x {self.threads} threads {self.audio_per_s:.2f}"


def raw_rate(engines: list[Raw], subject: str, times: int) -> Rate:
    """Let all do ``times`` calls each at the same time."""
    with ThreadPoolExecutor(len(engines)) as threads:
        since = time.perf_counter()
        done = list(threads.map(lambda each: each.calls(subject, times), engines))
        elapsed = time.perf_counter() - since
    audio_s = sum(took.audio_s * times for took in done)
    return Rate(threads=engines[0].threads, processes=len(engines), audio_per_s=audio_s / elapsed)
