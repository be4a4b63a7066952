"""What many equal calls leave behind."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

from open_speech_core.testing.laws import Ledger

LAW = "keeps its memory"
CALLS = 200
WARM_CALLS = 50
"""Until then arenas and caches may fill."""
EVERY = 10
"""Calls between two readings."""
MOST_KB = 20.0
"""What a call may leave behind: over a day of calls it would be gigabytes."""
PATIENCE_S = 40.0
"""A slow engine is given so long; it is judged by the calls it did, if they are enough."""
ENOUGH_CALLS = 100
STATM = Path("/proc/self/statm")


def check_memory(work: Callable[[], object], ledger: Ledger, *, calls: int, patience_s: float = PATIENCE_S) -> None:
    """Do ``work`` over and over: after the first calls the process must not grow with every further one."""
    if calls == 0 or not STATM.exists():
        return ledger.skip(LAW, "not asked for" if calls == 0 else "it is read from /proc")
    until = time.monotonic() + patience_s
    readings: list[int] = []
    done = 0
    while done < calls and time.monotonic() < until:
        work()
        done += 1
        if done >= WARM_CALLS and done % EVERY == 0:
            gc.collect()
            readings.append(own_bytes())
    if done < min(calls, ENOUGH_CALLS):
        return ledger.skip(LAW, f"only {done} calls in {patience_s:.0f} s")
    grown_kb = slope(readings) / EVERY / 1000
    ledger.memory_kb = grown_kb
    said = f"it grows by {grown_kb:.1f} KB a call, {done} calls; at most {MOST_KB:.0f}"
    ledger.require(LAW, grown_kb <= MOST_KB, said)


def own_bytes() -> int:
    """Give the memory that is this process's alone, without what was freed and not yet given back."""
    import ctypes
    import resource

    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    resident, shared = map(int, STATM.read_text().split()[1:3])
    return (resident - shared) * resource.getpagesize()


def slope(readings: Sequence[float]) -> float:
    """Give the median of the slopes between any two readings (Theil, Sen): one jump does not count for much."""
    pairs = [
        (later - earlier) / (second - first)
        for first, earlier in enumerate(readings)
        for second, later in enumerate(readings[first + 1 :], start=first + 1)
    ]
    return median(pairs) if pairs else 0.0
