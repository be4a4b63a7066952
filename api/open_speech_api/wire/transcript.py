"""A transcript as the body that was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from math import ceil, isfinite
from types import MappingProxyType
from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from open_speech_core.types import Segment, SpeakerTurn, Task, TokenLogprob, Word

from . import subtitles
from .joining import join
from .languages import name_of
from .rttm import rttm
from .transcription import Granularity, ResponseFormat

CONTENT_TYPES: Mapping[ResponseFormat, str] = MappingProxyType(
    {
        "json": "application/json",
        "verbose_json": "application/json",
        "diarized_json": "application/json",
        "text": "text/plain; charset=utf-8",
        "srt": "text/plain; charset=utf-8",
        "vtt": "text/vtt; charset=utf-8",
        "rttm": "text/plain; charset=utf-8",
    }
)


class Transcript(Struct, frozen=True, kw_only=True):
    """All that was recognised in one file."""

    segments: tuple[Segment, ...] = ()
    """In order; times count from the start of the file."""
    text: str | None = None
    """None: the segments' texts, joined."""
    language: str | None = None
    """Code of what was heard."""
    duration_s: float
    task: Task = "transcribe"
    turns: tuple[SpeakerTurn, ...] = ()
    """Who spoke when, whatever was said."""
    filename: str = ""
    """As the client named the recording."""

    @property
    def full_text(self) -> str:
        """Give the text without space at its ends."""
        return join(segment.text for segment in self.segments) if self.text is None else self.text.strip()


class DurationUsage(Struct, frozen=True, kw_only=True, tag="duration", tag_field="type"):
    seconds: int
    """Begun seconds of audio, as OpenAI counts them."""


class TokensUsage(Struct, frozen=True, kw_only=True, tag="tokens", tag_field="type"):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_token_details: TokenDetails | UnsetType = UNSET


class TokenDetails(Struct, frozen=True, kw_only=True):
    text_tokens: int
    audio_tokens: int


class Language(Struct, frozen=True, kw_only=True):
    code: str
    """ISO 639-1."""


class PlainBody(Struct, frozen=True, kw_only=True):
    text: str
    languages: tuple[Language, ...] | UnsetType = UNSET
    """What was heard, in order; there if the caller named ``languages``."""
    logprobs: tuple[TokenLogprob, ...] | UnsetType = UNSET


class VerboseWord(Struct, frozen=True, kw_only=True):
    word: str
    start: float
    end: float


class VerboseSegment(Struct, frozen=True, kw_only=True):
    """OpenAI's ten fields, all of them always there; and who spoke, where that is known."""

    id: int
    seek: int
    """Hundredths of a second."""
    start: float
    end: float
    text: str
    """As the engine gave it, with the space before it where there was one."""
    tokens: tuple[int, ...]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    speaker: str | UnsetType = UNSET
    language: str | UnsetType = UNSET
    """Code; there if the caller named ``languages``."""


class VerboseBody(Struct, frozen=True, kw_only=True):
    task: Task
    language: str
    """English name in lower case; ``unknown`` where no language was found."""
    duration: float
    text: str
    segments: tuple[VerboseSegment, ...] | UnsetType = UNSET
    words: tuple[VerboseWord, ...] | UnsetType = UNSET
    usage: DurationUsage


class DiarizedSegment(Struct, frozen=True, kw_only=True, tag="transcript.text.segment", tag_field="type"):
    """An entry of ``diarized_json``, and the event of its stream."""

    id: str
    start: float
    end: float
    text: str
    speaker: str


class DiarizedBody(Struct, frozen=True, kw_only=True):
    task: Literal["transcribe"] = "transcribe"
    duration: float
    text: str
    segments: tuple[DiarizedSegment, ...]
    usage: DurationUsage


def render(
    transcript: Transcript,
    response_format: ResponseFormat,
    *,
    granularities: Sequence[Granularity] = ("segment",),
    logprobs: bool = False,
    languages: bool = False,
    known_speakers: Sequence[str] = (),
) -> bytes:
    """Give the body; its content type is in ``CONTENT_TYPES``.

    ``known_speakers`` are names that stay as they are; others become A, B and so on.
    """
    match response_format:
        case "json":
            return msgspec.json.encode(plain_body(transcript, logprobs=logprobs, languages=languages))
        case "verbose_json":
            return msgspec.json.encode(verbose_body(transcript, granularities, known_speakers, languages=languages))
        case "diarized_json":
            return msgspec.json.encode(diarized_body(transcript, known_speakers))
        case "text":
            return f"{transcript.full_text}\n".encode()
        case "srt":
            return subtitles.srt(_cued(transcript), speaker_names(transcript.segments, known_speakers)).encode()
        case "vtt":
            return subtitles.vtt(_cued(transcript), speaker_names(transcript.segments, known_speakers)).encode()
        case "rttm":
            names = names_of((turn.speaker for turn in transcript.turns), known_speakers)
            return rttm(transcript.turns, names, transcript.filename).encode()


def plain_body(transcript: Transcript, *, logprobs: bool = False, languages: bool = False) -> PlainBody:
    """Give exactly ``{text}``, with the tokens' probabilities and the languages where they were asked for."""
    return PlainBody(
        text=transcript.full_text,
        languages=heard_languages(transcript.segments) if languages else UNSET,
        logprobs=all_logprobs(transcript.segments) if logprobs else UNSET,
    )


def verbose_body(
    transcript: Transcript,
    granularities: Sequence[Granularity],
    known_speakers: Sequence[str] = (),
    *,
    languages: bool = False,
) -> VerboseBody:
    """Give words only where they were asked for, and no segments where only words were."""
    names = speaker_names(transcript.segments, known_speakers)
    segments = tuple(
        _verbose_segment(number, segment, names, languages=languages)
        for number, segment in enumerate(transcript.segments)
    )
    words = tuple(_verbose_word(word) for segment in transcript.segments for word in segment.words or ())
    wants_words = "word" in granularities
    return VerboseBody(
        task=transcript.task,
        language="english" if transcript.task == "translate" else name_of(transcript.language),
        duration=_time(transcript.duration_s),
        text=transcript.full_text,
        segments=UNSET if wants_words and "segment" not in granularities else segments,
        words=tuple(word for word in words if word.word) if wants_words else UNSET,
        usage=duration_usage(transcript.duration_s),
    )


def diarized_body(transcript: Transcript, known_speakers: Sequence[str] = ()) -> DiarizedBody:
    """Give who said what."""
    names = speaker_names(transcript.segments, known_speakers)
    spoken = [segment for segment in transcript.segments if segment.text.strip()]
    return DiarizedBody(
        duration=_time(transcript.duration_s),
        text=transcript.full_text,
        segments=tuple(diarized_segment(number, segment, names) for number, segment in enumerate(spoken, start=1)),
        usage=duration_usage(transcript.duration_s),
    )


def diarized_segment(number: int, segment: Segment, names: Mapping[str, str]) -> DiarizedSegment:
    """Give the ``number``-th segment, counted from 1; ``names`` as ``speaker_names`` gives them."""
    return DiarizedSegment(
        id=f"seg_{number:03}",
        start=_time(segment.start),
        end=_time(segment.end),
        text=segment.text.strip(),
        speaker=names[segment.speaker or ""],
    )


def speaker_names(segments: Iterable[Segment], known: Sequence[str] = ()) -> dict[str, str]:
    """Give each speaker's label its name, letters in the order in which they first speak.

    Whoever has no label is one more speaker, found under the empty label.
    """
    return names_of((segment.speaker or "" for segment in segments if segment.text.strip()), known)


def names_of(labels: Iterable[str], known: Sequence[str] = ()) -> dict[str, str]:
    """Give each label its name: a known speaker's own, a letter to others in the order in which they come."""
    names = {name: name for name in known}
    free = (letters for letters in map(_letters, count()) if letters not in known)
    for label in labels:
        if label not in names:
            names[label] = next(free)
    return names


def all_logprobs(segments: Sequence[Segment]) -> tuple[TokenLogprob, ...]:
    """Give the tokens of all segments, in order."""
    return tuple(logprob for segment in segments for logprob in segment.logprobs or ())


def heard_languages(segments: Iterable[Segment]) -> tuple[Language, ...]:
    """Give the languages of what was said, in the order in which they were first heard."""
    codes = dict.fromkeys(segment.language for segment in segments if segment.text.strip())
    return tuple(Language(code=code) for code in codes if code)


def duration_usage(duration_s: float) -> DurationUsage:
    """Count begun seconds."""
    return DurationUsage(seconds=ceil(_time(duration_s)))


def _cued(transcript: Transcript) -> tuple[Segment, ...]:
    """Give the segments, or one over the whole file where the engine gave only text."""
    if transcript.segments or not transcript.full_text:
        return transcript.segments
    return (Segment(start=0.0, end=transcript.duration_s, text=transcript.full_text),)


def _verbose_segment(number: int, segment: Segment, names: Mapping[str, str], *, languages: bool) -> VerboseSegment:
    return VerboseSegment(
        id=number,
        seek=int(_time(segment.start) * 100),
        start=_time(segment.start),
        end=_time(segment.end),
        text=segment.text,
        tokens=segment.tokens or (),
        temperature=_number(segment.temperature),
        avg_logprob=_number(segment.avg_logprob),
        compression_ratio=_number(segment.compression_ratio),
        no_speech_prob=_number(segment.no_speech_prob),
        speaker=names.get(segment.speaker, segment.speaker) if segment.speaker else UNSET,
        language=segment.language if languages and segment.language else UNSET,
    )


def _verbose_word(word: Word) -> VerboseWord:
    return VerboseWord(word=word.word.strip(), start=_time(word.start), end=_time(word.end))


def _number(value: float | None) -> float:
    """Zero for what an engine does not know; JSON has no NaN."""
    return value if value is not None and isfinite(value) else 0.0


def _time(seconds: float) -> float:
    """Round to a millisecond: shifted times carry the noise of float sums."""
    return round(float(seconds), 3)


def _letters(number: int) -> str:
    """Give A to Z, then AA, AB and so on."""
    letters = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters
