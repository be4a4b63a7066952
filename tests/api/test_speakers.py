"""Words and turns put together, data URLs and RTTM: pure logic."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech_api.runtime.speakers import Turns, told_apart
from open_speech_api.wire.data_url import read_data_url
from open_speech_api.wire.joining import join
from open_speech_api.wire.transcript import Transcript, render
from open_speech_core.errors import InvalidRequest
from open_speech_core.types import Segment, SpeakerTurn, TokenLogprob, Word


def turn(speaker: str, start: float, end: float) -> SpeakerTurn:
    return SpeakerTurn(start=start, end=end, speaker=speaker)


def spoken(text: str, *words: tuple[str, float, float], **more: Any) -> Segment:
    """A segment from its first word to its last."""
    made = tuple(Word(word=word, start=start, end=end) for word, start, end in words)
    return Segment(start=made[0].start, end=made[-1].end, text=text, words=made, **more)


HELLO = spoken(
    " Hello, you. Who? Me!",
    (" Hello", 0.0, 0.5),
    (" you", 0.5, 1.0),
    (" Who", 1.1, 1.4),
    (" Me", 1.6, 2.0),
    tokens=(1, 2),
    logprobs=(TokenLogprob(token="t", logprob=-1.0),),
)


def test_a_segment_is_cut_where_the_speaker_changes_and_keeps_its_text_to_the_letter() -> None:
    parts = list(told_apart([HELLO], [turn("x", 0.0, 1.0), turn("y", 1.0, 1.5), turn("x", 1.5, 2.0)]))
    assert [(part.speaker, part.text, part.start, part.end) for part in parts] == [
        ("x", " Hello, you.", 0.0, 1.0),
        ("y", " Who?", 1.1, 1.4),
        ("x", " Me!", 1.6, 2.0),
    ]
    assert [len(part.words or ()) for part in parts] == [2, 1, 1]
    assert [part.logprobs for part in parts] == [HELLO.logprobs, None, None]


def test_a_segment_of_one_speaker_stays_as_it_was() -> None:
    (part,) = told_apart([HELLO], [turn("x", 0.0, 9.0)])
    assert part == spoken(HELLO.text, *((w.word, w.start, w.end) for w in HELLO.words or ()),
                          tokens=HELLO.tokens, logprobs=HELLO.logprobs, speaker="x")  # fmt: skip


@pytest.mark.parametrize("words", [None, (), (Word(word="other", start=0, end=1),)])
def test_without_words_of_its_text_a_segment_goes_to_who_speaks_longest_in_it(words: Any) -> None:
    segment = Segment(start=0.0, end=3.0, text="All of it.", words=words)
    (part,) = told_apart([segment], [turn("x", 0.0, 1.0), turn("y", 1.0, 3.0)])
    assert (part.speaker, part.text) == ("y", "All of it.")


def test_without_turns_nobody_is_named() -> None:
    (part,) = told_apart([HELLO], [])
    assert part == HELLO


@pytest.mark.parametrize(
    ("start", "end", "speaker"),
    [
        (0.0, 0.5, "a"),
        (0.9, 1.3, "b"),
        (0.7, 1.1, "a"),
        (1.0, 1.0, "b"),
        (2.1, 2.2, "b"),
        (2.8, 2.9, "c"),
        (9.0, 9.5, "c"),
        (3.2, 3.4, "d"),
    ],
)
def test_a_word_goes_to_the_turn_it_overlaps_most_or_the_nearest(start: float, end: float, speaker: str) -> None:
    turns = [turn("c", 3.0, 4.0), turn("a", 0.1, 1.0), turn("b", 1.0, 2.0), turn("d", 3.2, 3.5)]
    if speaker == "d":
        turns[0] = turn("c", 3.3, 4.0)
    assert Turns(turns).speaker(start, end) == speaker


def test_a_script_without_spaces_is_cut_between_its_own_characters_only() -> None:
    segment = spoken("我用iPhone打", ("我", 0, 1), ("用", 1, 2), ("iPhone", 2, 3), ("打", 3, 4))
    parts = list(told_apart([segment], [turn("x", 0, 1), turn("y", 1, 2), turn("x", 2, 4)]))
    assert [(part.speaker, part.text) for part in parts] == [("x", "我"), ("y", "用iPhone打")]
    assert join(part.text for part in parts) == segment.text


TIMES = st.floats(0, 20, allow_nan=False)
TURNS = st.lists(
    st.builds(lambda s, at, long: turn(s, at, at + long), st.sampled_from("xyz"), TIMES, st.floats(0.01, 5)),
    max_size=8,
)
TEXTS = st.lists(st.text("ab我用, .é😀", min_size=1, max_size=4), min_size=1, max_size=8)


@given(texts=st.lists(TEXTS, max_size=4), turns=TURNS, step=st.floats(0, 2))
def test_the_text_is_the_same_joined(texts: list[list[str]], turns: list[SpeakerTurn], step: float) -> None:
    segments, at = [], 0.0
    for words in texts:
        made = []
        for word in words:
            made.append((word, at, at + step))
            at += step
        segments.append(spoken("".join(words), *made))
    parts = list(told_apart(segments, turns))
    assert join(part.text for part in parts) == join(segment.text for segment in segments)
    assert "".join(part.text for part in parts) == "".join(segment.text for segment in segments)
    assert all(part.start <= part.end for part in parts)
    words_in = [word for segment in segments for word in segment.words or ()]
    assert [word for part in parts for word in part.words or ()] == words_in


@given(turns=TURNS, start=TIMES, long=st.floats(0.01, 3))
def test_who_speaks_is_found_as_by_looking_at_every_turn(turns: list[SpeakerTurn], start: float, long: float) -> None:
    end = start + long
    found = Turns(turns).speaker(start, end)
    shared = [min(end, each.end) - max(start, each.start) for each in turns]
    if not turns:
        assert found is None
    elif max(shared) > 0:
        assert found in {each.speaker for each, s in zip(turns, shared, strict=True) if s == max(shared)}
    else:
        assert found in {each.speaker for each, s in zip(turns, shared, strict=True) if s >= max(shared) - 1e-9}


def test_rttm_is_one_line_a_turn() -> None:
    turns = (turn("S7", 0.5, 2.0), turn("Ann B", 2.0, 3.25), turn("S1", 2.5, 3.0))
    made = Transcript(duration_s=4, turns=turns, filename="C:\\calls\\my talk.wav")
    assert render(made, "rttm", known_speakers=("Ann B",)).decode().splitlines() == [
        "SPEAKER my_talk 1 0.500 1.500 <NA> <NA> A <NA> <NA>",
        "SPEAKER my_talk 1 2.000 1.250 <NA> <NA> Ann_B <NA> <NA>",
        "SPEAKER my_talk 1 2.500 0.500 <NA> <NA> B <NA> <NA>",
    ]
    assert render(Transcript(duration_s=4), "rttm") == b""


def test_a_data_url_is_read() -> None:
    assert read_data_url("data:audio/wav;base64,SGVs\r\nbG8=", param="p") == b"Hello"
    assert read_data_url("DATA:;BASE64,SGVsbG8=", param="p") == b"Hello"


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("https://example.org/a.wav", "must be a data URL"),
        ("data:audio/wav;base64", "must be a data URL"),
        ("data:audio/wav,Hello", "must be in base64"),
        ("data:audio/wav;base64,@@@@", "does not hold base64"),
        ("data:audio/wav;base64,abc", "does not hold base64"),
        ("data:audio/wav;base64,", "is empty"),
    ],
)
def test_a_bad_data_url_is_refused(url: str, hint: str) -> None:
    with pytest.raises(InvalidRequest, match=hint) as caught:
        read_data_url(url, param="known_speaker_references")
    assert caught.value.param == "known_speaker_references"
