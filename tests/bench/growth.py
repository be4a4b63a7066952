"""Does anything pile up: what was there after each round of a soak, judged."""

from __future__ import annotations

from statistics import median

from msgspec import Struct

WARM_PART = 1 / 3
"""Share of the rounds in which the server may still grow to its size."""
FEWEST_ROUNDS = 4
GROWTH_MB = 10.0
GROWTH_DESCRIPTORS = 4


class Look(Struct, frozen=True, kw_only=True):
    """What was there after a round, when nobody asked for anything."""

    at_s: float
    own_mb: float
    """PSS of the server and its media workers."""
    descriptors: int
    workers: int
    leftovers: tuple[str, ...]


def judge(rounds: list[Look]) -> list[str]:
    """Compare the rounds' end with the rounds after the warm part; name what grew."""
    counted = rounds[round(len(rounds) * WARM_PART) :]
    if len(counted) < FEWEST_ROUNDS:
        return [f"only {len(rounds)} rounds were done, too few to judge by"]
    half = len(counted) // 2
    early, late = counted[:half], counted[half:]
    problems = [f"left in the run folder: {left}" for look in rounds for left in look.leftovers]
    grown = median(look.own_mb for look in late) - median(look.own_mb for look in early)
    if grown > GROWTH_MB:
        problems.append(f"memory grew by {grown:.1f} MB; at most {GROWTH_MB:g} is allowed")
    more = max(look.descriptors for look in late) - max(look.descriptors for look in early)
    if more > GROWTH_DESCRIPTORS:
        problems.append(f"{more} descriptors more than before; at most {GROWTH_DESCRIPTORS} are allowed")
    workers = max(look.workers for look in late) - max(look.workers for look in early)
    if workers > 0:
        problems.append(f"{workers} workers more than before")
    return problems
