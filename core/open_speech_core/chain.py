"""An ordered chain of processor sessions, fed and flushed as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .providers import ProcessorSession
from .types import Float32


class Chain(ProcessorSession):
    """Passes samples through each session in turn; a flush empties the first into the second, and so on."""

    def __init__(self, sessions: Sequence[ProcessorSession]) -> None:
        self._sessions = tuple(sessions)

    def feed(self, samples: Float32) -> list[Float32]:
        """Give what comes out at the end; an empty chain gives the samples themselves."""
        return self._through([samples], 0)

    def flush(self) -> list[Float32]:
        """Give every tail: each session is flushed after it got the tail of the one before."""
        tail: list[Float32] = []
        for place, session in enumerate(self._sessions):
            tail += self._through(session.flush(), place + 1)
        return tail

    def close(self) -> None:
        for session in self._sessions:
            session.close()

    def _through(self, blocks: Iterable[Float32], first: int) -> list[Float32]:
        current = list(blocks)
        for session in self._sessions[first:]:
            current = [made for block in current for made in session.feed(block)]
        return current
