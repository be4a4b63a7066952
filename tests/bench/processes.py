"""Whose memory is what: the server's processes told apart by what they have mapped, and measured."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import psutil
from msgspec import Struct

from ..api.serving import Running

Role = Literal["server", "media", "whisper", "piper", "echo"]

SIGNS: tuple[tuple[Role, str], ...] = (("whisper", "ctranslate2"), ("piper", "espeakbridge"), ("media", "/av/"))
"""What only that worker has mapped; whisper's imports PyAV too, so the order counts."""
MB = 1_000_000
SAMPLE_S = 0.05
SETTLE_S = 0.3
IDLE_SHARE = 0.05
"""Share of a core that counts as rest."""


class Footprint(Struct, frozen=True, kw_only=True):
    """PSS in MB: pages shared with others count in part."""

    server: float = 0.0
    media: float = 0.0
    whisper: float = 0.0
    piper: float = 0.0
    echo: float = 0.0

    @property
    def own(self) -> float:
        """Give what the server needs for itself; engines are the models'."""
        return self.server + self.media

    @property
    def engines(self) -> float:
        return self.whisper + self.piper + self.echo


def pss_mb(process: psutil.Process) -> float:
    """Give a process's proportional share of memory; 0 when it is gone."""
    try:
        return float(process.memory_full_info().pss) / MB
    except psutil.Error:
        return 0.0


def other_measures(server: Running) -> str:
    """Give the server process's memory without any shared page (USS) and with all of them (RSS)."""
    full = psutil.Process(server.process.pid).memory_full_info()
    return f"of the server alone USS is {full.uss / MB:.1f}, RSS {full.rss / MB:.1f} MB"


def role(process: psutil.Process) -> Role:
    """Say what a worker does."""
    try:
        mapped = Path(f"/proc/{process.pid}/maps").read_text()
    except OSError:
        return "echo"
    return next((name for name, sign in SIGNS if sign in mapped), "echo")


def footprint(server: Running) -> Footprint:
    """Measure a server and all its workers now."""
    sums: dict[Role, float] = {"server": pss_mb(psutil.Process(server.process.pid))}
    for worker in server.workers():
        name = role(worker)
        sums[name] = sums.get(name, 0.0) + pss_mb(worker)
    return Footprint(**sums)


def await_idle(server: Running, within_s: float = 60.0) -> None:
    """Wait until no worker computes: replicas that were started for a crowd are loaded then."""
    deadline = time.monotonic() + within_s
    before = -1.0
    while (now := _worked_s(server)) - before > IDLE_SHARE * SETTLE_S or before < 0:
        if time.monotonic() > deadline:
            raise RuntimeError("the workers do not come to rest")
        before = now
        time.sleep(SETTLE_S)


def _worked_s(server: Running) -> float:
    """Sum the processor time of the workers that live."""
    worked = 0.0
    for worker in server.workers():
        try:
            times = worker.cpu_times()
        except psutil.Error:
            continue
        worked += times.user + times.system
    return worked


def descriptors(server: Running) -> int:
    """Count the server's open descriptors."""
    return int(psutil.Process(server.process.pid).num_fds())


class Peak:
    """The largest footprint of each role while it watched."""

    def __init__(self) -> None:
        self._largest = Footprint()

    def see(self, now: Footprint) -> None:
        best = {name: max(getattr(now, name), getattr(self._largest, name)) for name in now.__struct_fields__}
        self._largest = Footprint(**best)

    @property
    def largest(self) -> Footprint:
        return self._largest


@contextmanager
def watched(server: Running, *, workers: bool = True) -> Iterator[Peak]:
    """Sample a server, twenty times a second, while the block runs; without its workers it disturbs less."""
    peak = Peak()
    stop = threading.Event()
    own = psutil.Process(server.process.pid)

    def sample() -> None:
        while not stop.wait(SAMPLE_S):
            peak.see(footprint(server) if workers else Footprint(server=pss_mb(own)))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()
