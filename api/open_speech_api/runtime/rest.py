"""A model that dies again and again is left alone for a while, each time for longer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

DEATHS_ALLOWED = 3
DEATHS_WITHIN_S = 60.0
REST_S = 30.0
"""First rest of a model that died too often; doubled each time, up to ``REST_MAX_S``."""
REST_MAX_S = 600.0


class Rest:
    """Counts the deaths of one model's workers."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._deaths: deque[float] = deque()
        self._rests = 0
        self._until = 0.0

    @property
    def left_s(self) -> float:
        """Seconds it still rests; 0 when it does not."""
        return max(0.0, self._until - self._clock())

    def count_death(self) -> float:
        """Note a death; give the length of the rest that it began, or 0."""
        now = self._clock()
        self._deaths.append(now)
        while now - self._deaths[0] > DEATHS_WITHIN_S:
            self._deaths.popleft()
        if len(self._deaths) < DEATHS_ALLOWED:
            return 0.0
        rest: float = min(REST_MAX_S, REST_S * 2**self._rests)
        self._rests += 1
        self._until = now + rest
        self._deaths.clear()
        return rest
