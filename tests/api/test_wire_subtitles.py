"""SubRip and WebVTT."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from open_speech_api.wire.subtitles import srt, vtt
from open_speech_core.types import Segment


def segment(start: float, end: float, text: str, speaker: str | None = None) -> Segment:
    return Segment(start=start, end=end, text=text, speaker=speaker)


SEGMENTS = [
    segment(0.0, 2.4996, " Hello <you> & me"),
    segment(2.4996, 3.0, "   "),
    segment(59.9996, 59.9996, "a --> b ---> c", speaker="x"),
    segment(-0.5, -1.0, "two\n\nlines"),
    segment(362_439.0005, 362_440.9999, " late", speaker="unnamed"),
]

SRT = """\
1
00:00:00,000 --> 00:00:02,500
Hello <you> & me

2
00:01:00,000 --> 00:01:00,001
Ann: a -> b -> c

3
00:00:00,000 --> 00:00:00,001
two lines

4
100:40:39,001 --> 100:40:41,000
late

"""

VTT = """\
WEBVTT

00:00:00.000 --> 00:00:02.500
Hello &lt;you> &amp; me

00:01:00.000 --> 00:01:00.001
Ann: a --&gt; b ---&gt; c

00:00:00.000 --> 00:00:00.001
two lines

100:40:39.001 --> 100:40:41.000
late

"""


def test_srt_is_numbered_without_holes_and_rounded_with_carry() -> None:
    assert srt(SEGMENTS, {"x": "Ann"}) == SRT


def test_vtt_escapes_what_would_be_markup() -> None:
    assert vtt(SEGMENTS, {"x": "Ann"}) == VTT


def test_nothing_said_is_an_empty_file() -> None:
    assert (srt([]), vtt([])) == ("", "WEBVTT\n\n")
    assert (srt([segment(0, 1, " ")]), vtt([segment(0, 1, " ")])) == ("", "WEBVTT\n\n")


CUE = re.compile(r"(\d+)\n(\d\d+):(\d\d):(\d\d),(\d{3}) --> (\d\d+):(\d\d):(\d\d),(\d{3})\n(.+)\n\n")
TIMES = st.floats(-1, 1e6)


@given(st.lists(st.tuples(TIMES, TIMES, st.text("a->\n\r \u2028", max_size=8))))
def test_any_segments_give_cues_of_positive_length(values: list[tuple[float, float, str]]) -> None:
    said = [value for value in values if value[2].strip()]
    written = srt([segment(*value) for value in values])
    cues = CUE.findall(written)
    assert "".join(match.group() for match in CUE.finditer(written)) == written
    assert [int(cue[0]) for cue in cues] == list(range(1, len(said) + 1))
    for cue, (start, _, _) in zip(cues, said, strict=True):
        begin, end = (((int(h) * 60 + int(m)) * 60 + int(s)) * 1000 + int(ms) for h, m, s, ms in (cue[1:5], cue[5:9]))
        assert begin < end
        assert abs(begin - max(0.0, start) * 1000) <= 0.51
        assert "-->" not in cue[9]
