"""The laws of spans: they hold for any levels, however they arrive."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech_api.media.spans import PAD_S, Loudness, SpanCutter, SpeechRule
from open_speech_core.types import Activity, Span

RATE = 1_000
RULE = SpeechRule(threshold=0.5, min_speech_ms=250, min_silence_ms=800)
runs = st.lists(
    st.tuples(st.sampled_from([0.0, 0.05, 0.3, 0.4, 0.6, 0.9, 1.0]), st.integers(1, 60)),
    min_size=1,
    max_size=25,
)
hops = st.sampled_from([10, 32, 50, 100])
limits = st.sampled_from([None, 1.0, 3.0, 7.77, 30.0])
rules = st.builds(
    SpeechRule,
    threshold=st.sampled_from([0.1, 0.5, 0.8]),
    min_speech_ms=st.sampled_from([0, 100, 250, 600]),
    min_silence_ms=st.sampled_from([0, 100, 800, 3000]),
    prefix_ms=st.sampled_from([0, 400, 2000]),
)


def expand(drawn: list[tuple[float, int]]) -> list[float]:
    return [level for level, count in drawn for _ in range(count)]


def cut(
    levels: list[float],
    hop: int,
    span_s: float | None,
    rule: SpeechRule | None,
    sizes: list[int] | None = None,
    frames: int | None = None,
) -> list[Span]:
    cutter = SpanCutter(RATE, span_s, rule)
    spans: list[Span] = []
    start = 0
    for size in sizes or [len(levels)]:
        piece = tuple(levels[start : start + size])
        spans += cutter.feed(Activity(offset=start * hop, hop=hop, probabilities=piece), RATE)
        start += size
    spans += cutter.finish(len(levels) * hop if frames is None else frames)
    return spans


def regions(levels: list[float], hop: int, rule: SpeechRule) -> list[tuple[int, int]]:
    """Silero's get_speech_timestamps, written plainly: hop by hop over the whole."""
    found, start, quiet = [], None, None
    low = max(rule.threshold - 0.15, 0.01)
    for index, level in enumerate(levels):
        if level >= rule.threshold:
            quiet = None
            start = index * hop if start is None else start
        elif level < low and start is not None:
            quiet = index * hop if quiet is None else quiet
        if start is not None and quiet is not None and (index + 1) * hop - quiet >= rule.min_silence_ms:
            found.append((start, quiet))
            start = quiet = None
    if start is not None:
        found.append((start, quiet if quiet is not None else len(levels) * hop))
    return [(first, last) for first, last in found if last - first >= rule.min_speech_ms and last > first]


@given(runs, hops, limits, rules | st.none(), st.data())
def test_pieces_do_not_change_the_spans(
    drawn: list[tuple[float, int]],
    hop: int,
    span_s: float | None,
    rule: SpeechRule | None,
    data: st.DataObject,
) -> None:
    levels = expand(drawn)
    bounds = sorted(data.draw(st.lists(st.integers(0, len(levels)), max_size=10)))
    sizes = np.diff([0, *bounds, len(levels)]).tolist()
    assert cut(levels, hop, span_s, rule, sizes) == cut(levels, hop, span_s, rule)


@given(runs, hops, limits, rules | st.none())
def test_spans_are_ordered_apart_inside_and_short_enough(
    drawn: list[tuple[float, int]], hop: int, span_s: float | None, rule: SpeechRule | None
) -> None:
    levels = expand(drawn)
    frames = len(levels) * hop - hop // 3
    spans = cut(levels, hop, span_s, rule, frames=frames)
    position = 0
    for span in spans:
        assert position <= span.offset < span.offset + span.frames <= frames
        assert span_s is None or span.frames <= span_s * RATE
        position = span.offset + span.frames


@given(runs, hops, limits, rules)
def test_every_frame_of_speech_is_covered(
    drawn: list[tuple[float, int]], hop: int, span_s: float | None, rule: SpeechRule
) -> None:
    levels = expand(drawn)
    covered = np.zeros(len(levels) * hop, bool)
    cutter = SpanCutter(RATE, span_s, rule)
    activity = Activity(offset=0, hop=hop, probabilities=tuple(levels))
    for span in [*cutter.feed(activity, RATE), *cutter.finish(len(levels) * hop)]:
        covered[span.offset : span.offset + span.frames] = True
    speech = regions(levels, hop, rule)
    assert cutter.speech_s == pytest.approx(sum(last - first for first, last in speech) / RATE)
    for first, last in speech:
        assert covered[first:last].all()
    assert covered.any() == bool(speech)


@given(runs, hops, st.sampled_from([1.0, 3.0, 7.77]))
def test_without_a_rule_all_is_covered_and_cut_in_the_last_third(
    drawn: list[tuple[float, int]], hop: int, span_s: float
) -> None:
    levels = expand(drawn)
    spans = cut(levels, hop, span_s, None)
    assert sum(span.frames for span in spans) == len(levels) * hop
    for span in spans[:-1]:
        assert span.frames >= int(span_s * RATE) * 2 // 3 - 1


@given(runs, hops, limits, rules)
def test_a_span_is_given_only_once_its_frames_are_known(
    drawn: list[tuple[float, int]], hop: int, span_s: float | None, rule: SpeechRule
) -> None:
    cutter = SpanCutter(RATE, span_s, rule)
    for index, level in enumerate(expand(drawn)):
        for span in cutter.feed(Activity(offset=index * hop, hop=hop, probabilities=(level,)), RATE):
            assert span.offset + span.frames <= (index + 1) * hop


def test_silence_has_no_spans() -> None:
    assert cut([0.1] * 1000, 32, 30.0, RULE) == []


def test_speech_is_padded_and_long_silence_left_out() -> None:
    levels = [0.0] * 50 + [1.0] * 20 + [0.0] * 30 + [1.0] * 20 + [0.0] * 50
    pad = int(PAD_S * RATE)
    assert cut(levels, 100, 30.0, RULE) == [
        Span(offset=5_000 - pad, frames=2_000 + 2 * pad),
        Span(offset=10_000 - pad, frames=2_000 + 2 * pad),
    ]


def test_speech_with_short_pauses_shares_a_span() -> None:
    levels = [1.0] * 20 + [0.0] * 15 + [1.0] * 20 + [0.0] * 15 + [1.0] * 20
    assert cut(levels, 100, 30.0, RULE) == [Span(offset=0, frames=9_000)]


def test_what_does_not_fit_starts_a_span_of_its_own() -> None:
    levels = [1.0] * 20 + [0.0] * 10 + [1.0] * 20 + [0.0] * 40
    assert cut(levels, 100, 4.0, RULE) == [Span(offset=0, frames=2_400), Span(offset=2_600, frames=2_800)]


def test_a_short_pause_between_two_spans_is_shared() -> None:
    rule = SpeechRule(threshold=0.5, min_speech_ms=250, min_silence_ms=300)
    levels = [1.0] * 20 + [0.0] * 5 + [1.0] * 20 + [0.0] * 40
    assert cut(levels, 100, 4.0, rule) == [Span(offset=0, frames=2_250), Span(offset=2_250, frames=2_650)]


def test_a_cut_prefers_a_real_pause_to_a_stop_inside_a_word() -> None:
    levels = [0.9] * 1000
    levels[420] = 0.0
    levels[460:475] = [0.3] * 15
    first, *_ = cut(levels, 20, 10.0, None)
    assert 9_200 <= first.frames <= 9_500


def test_long_speech_is_cut_where_speech_is_least_likely() -> None:
    levels = [0.9] * 300
    levels[80:84] = [0.6] * 4
    levels[95:98] = [0.55] * 3
    first, *_ = cut(levels, 100, 10.0, RULE)
    assert first.offset == 0
    assert 9_500 <= first.frames <= 9_800


def test_speech_shorter_than_the_least_is_dropped() -> None:
    assert cut([0.0] * 10 + [1.0] * 2 + [0.0] * 30, 100, 30.0, RULE) == []


def test_without_a_limit_one_span_holds_all_speech() -> None:
    levels = [0.0] * 50 + [1.0] * 20 + [0.0] * 300 + [1.0] * 20 + [0.0] * 50
    assert cut(levels, 100, None, RULE) == [Span(offset=4_600, frames=34_800)]
    assert cut(levels, 100, None, None) == [Span(offset=0, frames=44_000)]


def test_a_span_leaves_while_silence_goes_on() -> None:
    cutter = SpanCutter(RATE, 30.0, RULE)
    levels = (0.0,) * 5 + (1.0,) * 20 + (0.0,) * 25
    assert list(cutter.feed(Activity(offset=0, hop=100, probabilities=levels), RATE)) == [
        Span(offset=100, frames=2_800)
    ]


def test_levels_of_another_rate_are_scaled() -> None:
    cutter = SpanCutter(16_000, 30.0, RULE)
    spans = list(cutter.feed(Activity(offset=0, hop=800, probabilities=(1.0,) * 20 + (0.0,) * 30), 8_000))
    assert spans == [Span(offset=0, frames=32_000 + int(PAD_S * 16_000))]
    assert cutter.speech_s == pytest.approx(2.0)


@given(st.lists(st.integers(0, 900), max_size=12))
def test_loudness_does_not_depend_on_pieces(sizes: list[int]) -> None:
    samples = np.random.default_rng(1).standard_normal(sum(sizes)).astype(np.float32)

    def levels(pieces: list[np.ndarray]) -> list[float]:
        loudness = Loudness(16_000)
        made = [activity for piece in pieces for activity in loudness.feed(piece)] + list(loudness.flush())
        return [level for activity in made for level in activity.probabilities]

    assert levels(np.split(samples, np.cumsum(sizes)[:-1]) if sizes else []) == levels([samples])


def test_levels_that_are_no_numbers_are_no_speech() -> None:
    assert cut([float("nan")] * 100, 100, 30.0, RULE) == []
