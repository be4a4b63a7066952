"""SubRip and WebVTT from segments."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import floor

from open_speech_core.types import Segment

_ARROW = re.compile(r"-{2,}>")


def srt(segments: Sequence[Segment], names: Mapping[str, str] | None = None) -> str:
    """Give numbered cues; empty when nothing was said. ``names`` are put before what a speaker says."""
    cues = enumerate(_cues(segments, names or {}, _srt_text), start=1)
    return "".join(
        f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text}\n\n" for number, (start, end, text) in cues
    )


def vtt(segments: Sequence[Segment], names: Mapping[str, str] | None = None) -> str:
    """Give a WebVTT file; without cues when nothing was said."""
    cues = _cues(segments, names or {}, _vtt_text)
    return "WEBVTT\n\n" + "".join(
        f"{_clock(start, '.')} --> {_clock(end, '.')}\n{text}\n\n" for start, end, text in cues
    )


def _cues(
    segments: Sequence[Segment], names: Mapping[str, str], escape: Callable[[str], str]
) -> Iterator[tuple[int, int, str]]:
    """Yield start and end in ms and the text of each cue, on one line: an empty line would end the cue."""
    for segment in segments:
        text = " ".join(segment.text.split())
        if not text:
            continue
        name = names.get(segment.speaker) if segment.speaker else None
        start = max(0, _ms(segment.start))
        yield start, max(_ms(segment.end), start + 1), escape(f"{name}: {text}" if name else text)


def _ms(seconds: float) -> int:
    return floor(seconds * 1000 + 0.5)


def _clock(ms: int, mark: str) -> str:
    """Write ``HH:MM:SS,mmm``; from 100 hours on with as many digits as it takes."""
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{mark}{ms:03}"


def _srt_text(text: str) -> str:
    """SubRip has no escapes: shorten the arrow so that it is none."""
    return _ARROW.sub("->", text)


def _vtt_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("-->", "--&gt;")
