"""Bodies of speech requests, and the events of speech that streams."""

from __future__ import annotations

import json
from typing import Any

import pytest

from open_speech_api.wire.speech import (
    CONTENT_TYPES,
    SpeechFields,
    SpeechQuery,
    SpeechUsage,
    VoiceId,
    audio_delta_event,
    audio_done_event,
    decode_speech,
    decode_speech_query,
)
from open_speech_core.errors import InvalidRequest


def decode(body: bytes | dict[str, Any], limit: int = 4096) -> SpeechFields:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode_speech(raw, max_input_characters=limit)[0]


def test_every_field_is_read_and_all_are_given_for_the_provider() -> None:
    sent = {
        "input": " Hi. ",
        "model": "tts-1",
        "voice": {"id": "voice_1"},
        "instructions": "calm",
        "response_format": "opus",
        "speed": 4,
        "stream_format": "sse",
        "language": "en-US",
        "input_type": "ssml",
        "voice_design": "an old man",
        "reference_audio": "AAAA",
        "clone_transcript": "as said",
        "effects": [{"type": "pitch", "semitones": 2}, {"type": "robot"}],
        "sample_rate": 48000,
        "seed": 7,
        "voice_library_ref": "mine",
        "profile_id": "p",
        "noise_scale": 0.5,
        "unset": None,
    }
    fields, extra = decode_speech(json.dumps(sent).encode(), max_input_characters=10)
    known = {name: sent[name] for name in SpeechFields.__struct_fields__ if name not in ("voice", "effects")}
    assert {name: getattr(fields, name) for name in known} == known
    assert (fields.voice, fields.voice_name) == (VoiceId(id="voice_1"), "voice_1")
    assert [json.loads(bytes(effect)) for effect in fields.effects or ()] == sent["effects"]
    assert dict(extra) == {name: value for name, value in sent.items() if name != "unset"}


def test_all_but_input_may_be_unset_null_or_empty() -> None:
    plain = SpeechFields(input="Hi.")
    optional = [name for name in SpeechFields.__struct_fields__ if name != "input"]
    assert decode({"input": "Hi."}) == plain
    assert decode({"input": "Hi.", **dict.fromkeys(optional)}) == plain
    assert decode({"input": "Hi.", "model": "", "voice": "", "language": ""}) == plain
    assert decode({"input": "Hi.", "voice": {"id": ""}}).voice_name is None


@pytest.mark.parametrize(
    ("body", "param", "hint"),
    [
        ({}, "input", "missing required field"),
        ({"input": None}, "input", "Expected text, got null"),
        ({"input": 5}, "input", "Expected text, got integer"),
        ({"input": " \n\t"}, "input", "nothing to say"),
        ({"input": ""}, "input", "nothing to say"),
        ({"input": "12345678901"}, "input", "11 characters are more than the 10 allowed"),
        ({"input": "x", "voice": 5}, "voice", "Expected"),
        ({"input": "x", "voice": {"id": 5}}, "voice", "Expected text"),
        ({"input": "x", "voice": {}}, "voice", "missing required field"),
        (
            {"input": "x", "response_format": "m4a"},
            "response_format",
            "one of aac, flac, mp3, opus, pcm, wav",
        ),
        ({"input": "x", "speed": 0.2}, "speed", ">= 0.25; 0.2 was sent"),
        ({"input": "x", "speed": 4.1}, "speed", "<= 4.0"),
        ({"input": "x", "speed": "1"}, "speed", "Expected number"),
        ({"input": "x", "speed": True}, "speed", "Expected number"),
        ({"input": "x", "stream_format": "ogg"}, "stream_format", "one of audio, sse"),
        ({"input": "x", "input_type": "html"}, "input_type", "one of ssml, text"),
        ({"input": "x", "sample_rate": 7999}, "sample_rate", ">= 8000"),
        ({"input": "x", "sample_rate": 48001}, "sample_rate", "<= 48000"),
        ({"input": "x", "effects": {}}, "effects", "Expected array"),
        ({"input": "x", "effects": [{}] * 17}, "effects", "length <= 16"),
        ({"input": "x", "seed": 1.5}, "seed", "Expected integer"),
    ],
)
def test_a_bad_field_is_named(body: dict[str, Any], param: str, hint: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(body, limit=10)
    assert caught.value.param == param
    assert hint in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"Hi."',
        b"{",
        b'{"input": "x"} more',
        b'{"input": "\xff"}',
        b'{"input": "\\ud800"}',
        b'{"input": "x", "a": NaN}',
        b'{"input": "x", "a": ' + b"[" * 100_000,
        b"\xff\xfe{\x00}\x00",
    ],
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not a valid JSON object") as caught:
        decode(body)
    assert caught.value.param is None


def test_the_limit_counts_characters() -> None:
    assert decode({"input": "世界" * 5}, limit=10).input == "世界" * 5


def test_the_query_may_ask_for_streaming() -> None:
    assert decode_speech_query({}) == SpeechQuery()
    assert decode_speech_query({"stream": "true", "cache": "0", "x": "y"}) == SpeechQuery(stream=True, cache=False)
    assert decode_speech_query({"stream": ""}) == SpeechQuery()
    with pytest.raises(InvalidRequest) as caught:
        decode_speech_query({"stream": "maybe"})
    assert caught.value.param == "stream"


def test_events_carry_base64() -> None:
    assert audio_delta_event(b"\xff\xfb\x90") == b'data: {"type":"speech.audio.delta","audio":"//uQ"}\n\n'
    assert audio_done_event(SpeechUsage(input_tokens=1, output_tokens=0, total_tokens=1)) == (
        b'data: {"type":"speech.audio.done",'
        b'"usage":{"input_tokens":1,"output_tokens":0,"total_tokens":1}}\n\n'
    )  # fmt: skip


def test_content_types_are_the_contracts() -> None:
    assert CONTENT_TYPES == {
        "mp3": "audio/mpeg",
        "opus": "audio/opus",
        "aac": "audio/aac",
        "flac": "audio/flac",
        "wav": "audio/wav",
        "pcm": "audio/pcm",
    }
