"""Another tempo at the same pitch, by FFmpeg's ``atempo``: overlapping waves that fit, made for speech.

librosa's stretch compiles itself for half a minute at its first call.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from open_speech_core.types import Float32

SLOWEST = 0.5
"""The filter's own bound; slower still takes two of them."""


def change_tempo(samples: Float32, rate: int, speed: float) -> Float32:
    """Speak ``speed`` times as fast, 0.25 to 4. What is too short to be stretched (50 ms) stays as it is."""
    if speed == 1.0 or not len(samples):
        return samples
    import av

    graph = av.filter.Graph()
    last = graph.add_abuffer(format="flt", sample_rate=rate, layout="mono")
    for part in (speed,) if speed >= SLOWEST else (SLOWEST, speed / SLOWEST):
        following = graph.add("atempo", f"{part:.6f}")
        last.link_to(following)
        last = following
    sink = graph.add("abuffersink")
    last.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[np.newaxis], format="flt", layout="mono")
    frame.sample_rate = rate
    graph.push(frame)
    graph.push(None)
    made = list(_pull(av, graph))
    return np.concatenate(made).astype(np.float32, copy=False) if made else samples


def _pull(av: Any, graph: Any) -> Iterator[Float32]:
    while True:
        try:
            yield graph.pull().to_ndarray().reshape(-1)
        except (av.BlockingIOError, av.EOFError):
            return
