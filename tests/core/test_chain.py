"""A chain of processors is one processor."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from open_speech_core.chain import Chain
from open_speech_core.providers import ProcessorSession
from open_speech_core.types import Float32


class Delay(ProcessorSession):
    """Holds the last ``frames`` back until the flush."""

    def __init__(self, frames: int, closed: list[int]) -> None:
        self._frames = frames
        self._held = np.empty(0, np.float32)
        self._closed = closed

    def feed(self, samples: Float32) -> list[Float32]:
        held = np.concatenate([self._held, samples])
        cut = max(len(held) - self._frames, 0)
        self._held = held[cut:]
        return [held[:cut]]

    def flush(self) -> list[Float32]:
        return [self._held]

    def close(self) -> None:
        self._closed.append(self._frames)


@given(delays=st.lists(st.integers(0, 50), max_size=4), sizes=st.lists(st.integers(0, 60), max_size=6))
def test_no_sample_is_lost_or_moved(delays: list[int], sizes: list[int]) -> None:
    chain = Chain([Delay(frames, []) for frames in delays])
    samples = np.arange(sum(sizes), dtype=np.float32)
    pieces = np.split(samples, np.cumsum(sizes)[:-1]) if sizes else []
    made = [block for piece in pieces for block in chain.feed(piece)]
    made += chain.flush()
    assert np.array_equal(np.concatenate([np.empty(0, np.float32), *made]), samples)


def test_closing_a_chain_closes_each() -> None:
    closed: list[int] = []
    Chain([Delay(1, closed), Delay(2, closed)]).close()
    assert closed == [1, 2]
