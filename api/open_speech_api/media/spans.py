"""Where a long recording is cut: pure logic over levels, one a hop, without samples and without I/O.

With a ``SpeechRule`` the levels are probabilities of speech. Regions of speech are found as Silero's
``get_speech_timestamps`` finds them (hysteresis, least length, least silence), padded, and packed greedily
into spans; silence of more than ``GAP_S`` is left out. Without a rule all is speech, the levels are loudness,
and the cuts fall where it is quietest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf

import numpy as np
from msgspec import Struct

from open_speech_core.types import Activity, Float32, Span

PAD_S = 0.4
"""Kept after speech; faster-whisper's ``speech_pad_ms``."""
GAP_S = 2.0
"""Silence longer than this ends a span."""
HYSTERESIS = 0.15
"""Speech ends this far below the threshold at which it starts; Silero's rule."""
LEAST_LEVEL = 0.01
"""Below this it is silence whatever the threshold, or speech would never end."""
SMOOTH_S = 0.25
"""Levels are averaged over this long before the lowest is looked for, so that no cut falls into a short stop
inside a word."""
HOP_S = 0.02
"""Hop of the loudness where there is no detector."""


class SpeechRule(Struct, frozen=True, kw_only=True):
    """What counts as speech."""

    threshold: float
    """Probability at which speech starts."""
    min_speech_ms: int
    """Shorter speech is dropped."""
    min_silence_ms: int
    """Shorter silence belongs to the speech around it."""
    prefix_ms: int = 400
    """Kept before speech; as ``PAD_S`` unless a caller says otherwise."""


class SpanCutter:
    """Takes levels, gives spans as soon as they are certain.

    The spans do not depend on how the levels were split into calls: every decision is taken at one hop from
    what came before it.
    """

    def __init__(self, rate: int, span_s: float | None, rule: SpeechRule | None = None) -> None:
        self._rate = rate
        self._limit = None if span_s is None else max(1, int(span_s * rate))
        self._start_level = rule.threshold if rule else -inf
        self._end_level = max(rule.threshold - HYSTERESIS, LEAST_LEVEL) if rule else -inf
        self._min_speech = rule.min_speech_ms * rate // 1000 if rule else 0
        self._min_silence = rule.min_silence_ms * rate // 1000 if rule else 0
        self._prefix = rule.prefix_ms * rate // 1000 if rule else 0
        self._pad = int(PAD_S * rate) if rule else 0
        self._gap = inf if span_s is None else GAP_S * rate
        self._hops: list[tuple[int, int, float]] = []
        self._region: int | None = None  # first frame of the speech that is going on
        self._quiet: int | None = None  # first frame of a silence in it that may end it
        self._span: int | None = None  # first frame of the span being filled
        self._filled: int | None = None  # end of the last whole region in it
        self._done = 0  # end of the last span given
        self._speech = 0
        self._ready: list[Span] = []

    @property
    def speech_s(self) -> float:
        """Seconds of speech in the regions that have ended."""
        return self._speech / self._rate

    def feed(self, activity: Activity, rate: int) -> Iterator[Span]:
        """Take levels whose offset and hop count frames at ``rate``; give the spans they make certain."""
        for index, level in enumerate(activity.probabilities):
            first = activity.offset + index * activity.hop
            self._step(first * self._rate // rate, (first + activity.hop) * self._rate // rate, level)
        return self._take()

    def finish(self, frames: int) -> Iterator[Span]:
        """Give the last spans of a recording of ``frames`` frames."""
        if self._region is not None:
            self._end_region(frames if self._quiet is None else min(self._quiet, frames))
        self._end_span(frames)
        return self._take()

    def _take(self) -> Iterator[Span]:
        ready, self._ready = self._ready, []
        return iter(ready)

    def _step(self, start: int, stop: int, level: float) -> None:
        if self._region is None:
            self._step_silence(start, level)
        if self._region is None and self._span is None:
            return
        if self._limit is not None:
            self._hops.append((start, stop, level))
        if self._region is not None:
            self._step_speech(start, stop, level)

    def _step_silence(self, start: int, level: float) -> None:
        if self._filled is not None and start - self._filled >= self._gap:
            self._end_span(start)
        if level >= self._start_level:
            self._region, self._quiet = start, None

    def _step_speech(self, start: int, stop: int, level: float) -> None:
        if level >= self._start_level:
            self._quiet = None
        elif level < self._end_level and self._quiet is None:
            self._quiet = start
        if self._quiet is None:
            self._fit(stop)
        elif stop - self._quiet >= self._min_silence:
            self._end_region(self._quiet)

    def _end_region(self, end: int) -> None:
        start, self._region, self._quiet = self._region, None, None
        if start is None:
            return
        if end > start and end - start >= self._min_speech:
            self._region = start
            self._fit(end)
            self._region = None
            self._filled = end
            self._speech += end - start
        elif self._span is None:
            self._hops.clear()

    def _fit(self, stop: int) -> None:
        """Make room for the region that now reaches ``stop``, once it is long enough to count."""
        start = self._region
        if start is None or stop - start < self._min_speech:
            return
        if self._span is not None and self._filled is not None and self._over(self._span, stop):
            self._end_span((self._filled + start) // 2)
        if self._span is None:
            self._span = max(start - self._prefix, self._done)
        while self._filled is None and self._over(self._span, stop):
            cut = self._best_cut(self._span, self._limit or 0)
            self._give(self._span, cut)
            self._span = cut

    def _over(self, start: int, stop: int) -> bool:
        return self._limit is not None and stop - start > self._limit

    def _end_span(self, latest: int) -> None:
        """Give the span being filled, padded, but not beyond ``latest``."""
        if self._span is not None and self._filled is not None:
            end = min(self._filled + self._pad, latest)
            if self._limit is not None:
                end = min(end, self._span + self._limit)
            self._give(self._span, end)
        self._span = self._filled = None
        if self._region is None:
            self._hops.clear()

    def _give(self, start: int, end: int) -> None:
        if end > start:
            self._ready.append(Span(offset=start, frames=end - start))
            self._done = end
        self._hops = [hop for hop in self._hops if hop[1] > end]

    def _best_cut(self, start: int, limit: int) -> int:
        """Give the frame with the lowest level around it in the last third of a full span."""
        levels = np.array([level for _, _, level in self._hops])
        middles = np.array([(first + last) // 2 for first, last, _ in self._hops])
        inside = (middles >= start + limit - limit // 3) & (middles <= start + limit) & (middles > start)
        if not inside.any():
            return start + limit
        hop = max(1, self._hops[0][1] - self._hops[0][0])
        width = min(len(levels), max(1, round(SMOOTH_S * self._rate / hop)))
        edges = np.pad(levels, (width // 2, width - 1 - width // 2), mode="edge")
        smooth = np.where(inside, np.convolve(edges, np.ones(width) / width, mode="valid"), inf)
        return int(middles[len(smooth) - 1 - int(np.argmin(smooth[::-1]))])


class Loudness:
    """Gives the loudness of each hop in dB, as levels for a cutter without a detector."""

    def __init__(self, rate: int) -> None:
        self._hop = max(1, int(HOP_S * rate))
        self._offset = 0
        self._rest = np.zeros(0, np.float32)

    def feed(self, samples: Float32) -> Iterable[Activity]:
        """Take any number of samples; a remainder is carried over."""
        joined = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        whole = len(joined) - len(joined) % self._hop
        self._rest = joined[whole:].copy()
        if whole:
            yield self._measure(joined[:whole].reshape(-1, self._hop))

    def flush(self) -> Iterable[Activity]:
        """Give the level of the last, short hop."""
        if len(self._rest):
            yield self._measure(self._rest.reshape(1, -1))
            self._rest = self._rest[:0]

    def _measure(self, rows: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> Activity:
        power = np.square(rows, dtype=np.float64).mean(axis=1)
        levels = 10 * np.log10(power + 1e-12)
        activity = Activity(offset=self._offset, hop=self._hop, probabilities=tuple(levels.tolist()))
        self._offset += rows.size
        return activity
