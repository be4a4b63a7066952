"""Where somebody speaks: from a detector's probabilities to stretches of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

START, END = 0.5, 0.35
"""Probabilities at which speech begins and ends; Silero's own."""
SILENCE_S = 0.25
"""Shorter silence belongs to the speech around it."""
SPEECH_S = 0.2
"""Shorter speech is none."""


class Region(Struct, frozen=True, kw_only=True):
    """A stretch of speech, in seconds."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


def regions(probabilities: Sequence[float], hop_s: float, duration_s: float) -> list[Region]:
    """Find speech in probabilities of one a hop, none of it beyond ``duration_s``."""
    joined: list[Region] = []
    for start, end in _loud(probabilities, hop_s):
        end = min(end, duration_s)
        if joined and start - joined[-1].end < SILENCE_S:
            joined[-1] = Region(start=joined[-1].start, end=end)
        elif end > start:
            joined.append(Region(start=start, end=end))
    return [region for region in joined if region.seconds >= SPEECH_S]


def _loud(probabilities: Sequence[float], hop_s: float) -> Iterator[tuple[float, float]]:
    since: int | None = None
    for number, probability in enumerate(probabilities):
        if since is None and probability >= START:
            since = number
        elif since is not None and probability < END:
            yield since * hop_s, number * hop_s
            since = None
    if since is not None:
        yield since * hop_s, len(probabilities) * hop_s
