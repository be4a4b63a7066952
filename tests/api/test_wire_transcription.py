"""Fields of transcriptions and translations."""

from __future__ import annotations

import pytest

from open_speech_api.wire.fields import fold
from open_speech_api.wire.transcription import (
    ServerVad,
    TranscriptionFields,
    TranslationFields,
    decode_transcription,
    decode_translation,
)
from open_speech_core.errors import InvalidRequest

REFERENCE = "data:audio/wav;base64,AAAA"


def decode(*pairs: tuple[str, str], query: dict[str, str] | None = None) -> TranscriptionFields:
    return decode_transcription(fold(pairs), query)


def test_every_field_is_read() -> None:
    assert decode(
        ("model", "whisper-1"),
        ("language", "en-US"),
        ("languages[]", "German"),
        ("languages[]", "fr"),
        ("keywords[]", "Open, Speech"),
        ("prompt", " As said "),
        ("response_format", "verbose_json"),
        ("temperature", "0.5"),
        ("include[]", "logprobs"),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities[]", "segment"),
        ("stream", "true"),
        ("chunking_strategy[type]", "server_vad"),
        ("chunking_strategy[prefix_padding_ms]", "100"),
        ("known_speaker_names[]", "Ann"),
        ("known_speaker_references[]", REFERENCE),
        ("diarize", "1"),
        ("unknown", "ignored"),
    ) == TranscriptionFields(
        model="whisper-1",
        language="en",
        languages=("de", "fr"),
        keywords=("Open, Speech",),
        prompt=" As said ",
        response_format="verbose_json",
        temperature=0.5,
        include=("logprobs",),
        timestamp_granularities=("word", "segment"),
        stream=True,
        chunking_strategy=ServerVad(prefix_padding_ms=100, silence_duration_ms=200, threshold=0.5),
        known_speaker_names=("Ann",),
        known_speaker_references=(REFERENCE,),
        diarize=True,
    )


def test_nothing_sent_is_unset() -> None:
    assert decode(("language", ""), ("stream", "null"), ("model", "")) == TranscriptionFields()
    assert decode(("language", "auto")) == TranscriptionFields()


@pytest.mark.parametrize(
    ("form", "query", "diarize"),
    [
        ([], {}, None),
        ([], {"diarize": "true"}, True),
        ([], {"diarize": ""}, None),
        ([("diarize", "false")], {"diarize": "true"}, False),
        ([("diarize", "yes")], {"model": "ignored"}, True),
    ],
)
def test_diarize_comes_by_query_or_form(
    form: list[tuple[str, str]], query: dict[str, str], diarize: bool | None
) -> None:
    assert decode(*form, query=query) == TranscriptionFields(diarize=diarize)


@pytest.mark.parametrize(
    ("pair", "hint"),
    [
        (("response_format", "mp3"), "one of diarized_json, json, rttm, srt, text, verbose_json, vtt"),
        (("temperature", "1.5"), "<= 1.0"),
        (("temperature", "-0.1"), ">= 0.0"),
        (("temperature", "nan"), "Expected number"),
        (("temperature", "hot"), "Expected number"),
        (("include[]", "usage"), "one of logprobs"),
        (("timestamp_granularities[]", "words"), "one of segment, word"),
        (("stream", "maybe"), "true or false"),
        (("diarize", "2"), "true or false"),
        (("language", "klingon"), "ISO 639-1"),
        (("languages[]", "klingon"), "ISO 639-1"),
        (("chunking_strategy", "manual"), "one of auto"),
        (("chunking_strategy[type]", "client_vad"), "Invalid value"),
        (("chunking_strategy", '{"type":"server_vad","threshold":7}'), "<= 1.0"),
        (("prompt[a]", "x"), "Expected text"),
        (("known_speaker_references[]", "https://example.org/a.wav"), "data URL"),
        (("known_speaker_references[]", REFERENCE), "one a name"),
        (("known_speaker_names", "a,b,c,d,e"), "length <= 4"),
    ],
)
def test_a_bad_field_is_named_without_brackets(pair: tuple[str, str], hint: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(pair)
    assert caught.value.param == pair[0].partition("[")[0]
    assert hint in caught.value.message


def test_a_bad_query_value_is_named() -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(query={"diarize": "perhaps"})
    assert caught.value.param == "diarize"


def test_translations_have_their_own_fields() -> None:
    fields = fold([("model", "m"), ("prompt", "p"), ("response_format", "vtt"), ("temperature", "0"), ("stream", "x")])
    assert decode_translation(fields) == TranslationFields(
        model="m", prompt="p", response_format="vtt", temperature=0.0
    )
    with pytest.raises(InvalidRequest) as caught:
        decode_translation({"response_format": "diarized_json"})
    assert caught.value.param == "response_format"
