"""Transcripts in every response format, whole bodies compared; and the events of a stream."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from open_speech_api.wire.errors import ErrorBody
from open_speech_api.wire.events import DONE, error_event
from open_speech_api.wire.transcript import (
    CONTENT_TYPES,
    TokensUsage,
    Transcript,
    duration_usage,
    render,
    speaker_names,
)
from open_speech_api.wire.transcript_events import count_tokens, delta_event, done_event, segment_event
from open_speech_core.types import Segment, TokenLogprob, Word

HELLO = Segment(
    start=0.1 + 0.2,
    end=1.5,
    text=" Hello there.",
    tokens=(50364, 2425, 456, 13),
    temperature=0.2,
    avg_logprob=-0.25,
    compression_ratio=0.75,
    no_speech_prob=0.01,
    words=(
        Word(word=" Hello", start=0.1 + 0.2, end=0.9, probability=0.9),
        Word(word=" ", start=0.9, end=0.9),
        Word(word=" there.", start=0.9, end=1.5),
    ),
    logprobs=(TokenLogprob(token=" Hello", logprob=-0.5, bytes=(32, 72)),),
)
BARE = Segment(start=31.287, end=32.0, text="Bye.", avg_logprob=float("nan"))
TRANSCRIPT = Transcript(segments=(HELLO, BARE), language="en", duration_s=32.0004)


def body(transcript: Transcript, response_format: Any, **options: Any) -> Any:
    return json.loads(render(transcript, response_format, **options))


def test_json_is_exactly_the_text() -> None:
    assert render(TRANSCRIPT, "json") == b'{"text":"Hello there. Bye."}'


def test_json_has_logprobs_where_they_were_asked_for() -> None:
    assert render(TRANSCRIPT, "json", logprobs=True) == (
        b'{"text":"Hello there. Bye.","logprobs":[{"token":" Hello","logprob":-0.5,"bytes":[32,72]}]}'
    )


SEGMENT_BODIES = [
    {
        "id": 0,
        "seek": 30,
        "start": 0.3,
        "end": 1.5,
        "text": " Hello there.",
        "tokens": [50364, 2425, 456, 13],
        "temperature": 0.2,
        "avg_logprob": -0.25,
        "compression_ratio": 0.75,
        "no_speech_prob": 0.01,
    },
    {
        "id": 1,
        "seek": 3128,
        "start": 31.287,
        "end": 32.0,
        "text": "Bye.",
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": 0.0,
        "compression_ratio": 0.0,
        "no_speech_prob": 0.0,
    },
]
WORD_BODIES = [
    {"word": "Hello", "start": 0.3, "end": 0.9},
    {"word": "there.", "start": 0.9, "end": 1.5},
]
VERBOSE = {
    "task": "transcribe",
    "language": "english",
    "duration": 32.0,
    "text": "Hello there. Bye.",
    "usage": {"type": "duration", "seconds": 32},
}


@pytest.mark.parametrize(
    ("granularities", "parts"),
    [
        ((), {"segments": SEGMENT_BODIES}),
        (("segment",), {"segments": SEGMENT_BODIES}),
        (("word",), {"words": WORD_BODIES}),
        (("word", "segment"), {"segments": SEGMENT_BODIES, "words": WORD_BODIES}),
    ],
)
def test_verbose_json_has_what_was_asked_for(granularities: Any, parts: dict[str, Any]) -> None:
    assert body(TRANSCRIPT, "verbose_json", granularities=granularities) == VERBOSE | parts


def test_verbose_json_of_a_translation_is_english() -> None:
    german = Transcript(segments=(BARE,), language="de", duration_s=40.5, task="translate")
    shown = body(german, "verbose_json")
    assert (shown["task"], shown["language"], shown["usage"]["seconds"]) == ("translate", "english", 41)


def test_verbose_json_of_silence_has_every_key() -> None:
    assert body(Transcript(duration_s=2.5), "verbose_json", granularities=("word", "segment")) == {
        "task": "transcribe",
        "language": "unknown",
        "duration": 2.5,
        "text": "",
        "segments": [],
        "words": [],
        "usage": {"type": "duration", "seconds": 3},
    }


def spoken(speaker: str | None, text: str, start: float) -> Segment:
    return Segment(start=start, end=start + 1, text=text, speaker=speaker)


TALK = Transcript(
    segments=(
        spoken("SPEAKER_07", " ", 0),
        spoken("SPEAKER_03", " Hi.", 1),
        spoken("Ann", " Hello.", 2),
        spoken("SPEAKER_07", " Me too.", 3),
        spoken("SPEAKER_03", " Good.", 4),
        spoken(None, " Who?", 5),
    ),
    duration_s=6,
)


def test_diarized_json_names_speakers_in_the_order_they_speak() -> None:
    def entry(id: str, start: float, text: str, speaker: str) -> dict[str, Any]:
        kind = "transcript.text.segment"
        return {"type": kind, "id": id, "start": start, "end": start + 1, "text": text, "speaker": speaker}

    assert body(TALK, "diarized_json", known_speakers=("Ann", "B")) == {
        "task": "transcribe",
        "duration": 6.0,
        "text": "Hi. Hello. Me too. Good. Who?",
        "segments": [
            entry("seg_001", 1.0, "Hi.", "A"),
            entry("seg_002", 2.0, "Hello.", "Ann"),
            entry("seg_003", 3.0, "Me too.", "C"),
            entry("seg_004", 4.0, "Good.", "A"),
            entry("seg_005", 5.0, "Who?", "D"),
        ],
        "usage": {"type": "duration", "seconds": 6},
    }


def test_many_speakers_get_more_letters() -> None:
    names = speaker_names([spoken(f"s{number}", "x", number) for number in range(704)])
    assert [names[f"s{number}"] for number in (0, 25, 26, 51, 52, 701, 702)] == [
        "A", "Z", "AA", "AZ", "BA", "ZZ", "AAA",
    ]  # fmt: skip


def test_speakers_are_in_subtitles_and_verbose_json() -> None:
    two = Transcript(segments=(spoken("s", " Hi.", 0), spoken(None, " Ho.", 1)), duration_s=2)
    assert render(two, "srt") == (
        b"1\n00:00:00,000 --> 00:00:01,000\nA: Hi.\n\n2\n00:00:01,000 --> 00:00:02,000\nHo.\n\n"
    )
    assert [segment.get("speaker") for segment in body(two, "verbose_json")["segments"]] == ["A", None]


def test_text_ends_with_a_line_feed() -> None:
    assert render(TRANSCRIPT, "text") == b"Hello there. Bye.\n"
    assert render(Transcript(duration_s=1), "text") == b"\n"


def test_text_without_segments_is_one_cue_over_the_file() -> None:
    whole = Transcript(text=" All of it. ", duration_s=3.25)
    assert render(whole, "srt") == b"1\n00:00:00,000 --> 00:00:03,250\nAll of it.\n\n"
    assert render(whole, "vtt") == b"WEBVTT\n\n00:00:00.000 --> 00:00:03.250\nAll of it.\n\n"
    assert render(whole, "json") == b'{"text":"All of it."}'


def test_nothing_said_has_no_cues() -> None:
    assert render(Transcript(duration_s=3), "srt") == b""
    assert render(Transcript(duration_s=3), "vtt") == b"WEBVTT\n\n"


def test_content_types_are_the_contracts() -> None:
    assert CONTENT_TYPES == {
        "json": "application/json",
        "verbose_json": "application/json",
        "diarized_json": "application/json",
        "text": "text/plain; charset=utf-8",
        "srt": "text/plain; charset=utf-8",
        "vtt": "text/vtt; charset=utf-8",
        "rttm": "text/plain; charset=utf-8",
    }


def test_usage_counts_begun_seconds() -> None:
    assert [duration_usage(seconds).seconds for seconds in (0, 0.1, 2, 2.0004, 2.001)] == [0, 1, 2, 2, 3]


def test_events_are_one_line_each() -> None:
    logprobs = HELLO.logprobs
    usage = TokensUsage(input_tokens=1, output_tokens=2, total_tokens=3)
    assert delta_event("a\nb") == b'data: {"type":"transcript.text.delta","delta":"a\\nb"}\n\n'
    assert delta_event(" c", logprobs=logprobs, segment_id="seg_001") == (
        b'data: {"type":"transcript.text.delta","delta":" c",'
        b'"logprobs":[{"token":" Hello","logprob":-0.5,"bytes":[32,72]}],"segment_id":"seg_001"}\n\n'
    )
    assert segment_event(12, spoken("s", " Hi.", 1), {"s": "A"}) == (
        b'data: {"type":"transcript.text.segment","id":"seg_012",'
        b'"start":1.0,"end":2.0,"text":"Hi.","speaker":"A"}\n\n'
    )  # fmt: skip
    assert done_event("abc") == b'data: {"type":"transcript.text.done","text":"abc"}\n\n'
    assert done_event("abc", logprobs=(), usage=usage) == (
        b'data: {"type":"transcript.text.done","text":"abc","logprobs":[],'
        b'"usage":{"type":"tokens","input_tokens":1,"output_tokens":2,"total_tokens":3}}\n\n'
    )
    assert DONE == b"data: [DONE]\n\n"


def test_an_error_event_has_all_four_keys() -> None:
    assert error_event(ErrorBody(message="m", type="server_error")) == (
        b'data: {"error":{"message":"m","type":"server_error","param":null,"code":null}}\n\n'
    )


def test_tokens_are_counted_or_guessed_by_words() -> None:
    assert msgspec.to_builtins(count_tokens(1.25, [HELLO, Segment(start=0, end=1, text=" two words")])) == {
        "type": "tokens",
        "input_tokens": 13,
        "output_tokens": 6,
        "total_tokens": 19,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 13},
    }
