"""Transcriptions and translations over a real server, to the letter of OpenAI's API."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest

from api.calling import (
    TRANSCRIPTIONS,
    TRANSLATIONS,
    checked,
    events,
    received,
    refused,
    speech_file,
    timing,
    tone,
    transcribe,
    wav,
)
from api.serving import Running, StartServer

TEN_FIELDS = {
    "id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob", "compression_ratio", "no_speech_prob",
}  # fmt: skip
BOTH = pytest.mark.parametrize("path", [TRANSCRIPTIONS, TRANSLATIONS])


@BOTH
@pytest.mark.parametrize("response_format", [..., "json", "", "null"])
def test_json_is_exactly_the_text(echo_server: Running, path: str, response_format: Any) -> None:
    response = transcribe(echo_server, path=path, response_format=response_format)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"text": "one two three"}


@BOTH
def test_text_ends_with_one_newline(echo_server: Running, path: str) -> None:
    response = transcribe(echo_server, path=path, response_format="text")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text == "one two three\n"


@BOTH
def test_verbose_json_has_every_field(echo_server: Running, path: str) -> None:
    body = transcribe(echo_server, path=path, response_format="verbose_json").json()
    assert set(body) == {"task", "language", "duration", "text", "segments", "usage"}
    assert body["task"] == ("translate" if path == TRANSLATIONS else "transcribe")
    assert (body["language"], body["duration"], body["text"]) == ("english", 3.0, "one two three")
    assert body["usage"] == {"type": "duration", "seconds": 3}
    assert [set(segment) for segment in body["segments"]] == [TEN_FIELDS] * 3
    assert [(s["id"], s["seek"], s["start"], s["end"], s["text"]) for s in body["segments"]] == [
        (0, 0, 0.0, 1.0, " one"),
        (1, 100, 1.0, 2.0, " two"),
        (2, 200, 2.0, 3.0, " three"),
    ]
    first = body["segments"][0]
    assert first["tokens"] == list(b" one")
    assert (first["temperature"], first["avg_logprob"]) == (0.0, -0.1)
    assert (first["compression_ratio"], first["no_speech_prob"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("asked", "segments", "words"),
    [
        (..., True, False),
        ("segment", True, False),
        ("word", False, True),
        (["word", "segment"], True, True),
        ("word,segment", True, True),
    ],
)
@pytest.mark.parametrize("name", ["timestamp_granularities__", "timestamp_granularities"])
def test_granularities_say_what_is_there(
    echo_server: Running, name: str, asked: Any, segments: bool, words: bool
) -> None:
    body = transcribe(echo_server, response_format="verbose_json", **{name: asked}).json()
    assert ("segments" in body, "words" in body) == (segments, words)
    if words:
        assert body["words"] == [
            {"word": "one", "start": 0.0, "end": 1.0},
            {"word": "two", "start": 1.0, "end": 2.0},
            {"word": "three", "start": 2.0, "end": 3.0},
        ]


@BOTH
def test_srt_is_numbered_with_commas(echo_server: Running, path: str) -> None:
    response = transcribe(echo_server, path=path, response_format="srt")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text == (
        "1\n00:00:00,000 --> 00:00:01,000\none\n\n"
        "2\n00:00:01,000 --> 00:00:02,000\ntwo\n\n"
        "3\n00:00:02,000 --> 00:00:03,000\nthree\n\n"
    )


@BOTH
def test_vtt_has_its_head_and_dots(echo_server: Running, path: str) -> None:
    response = transcribe(echo_server, path=path, response_format="vtt")
    assert response.headers["content-type"] == "text/vtt; charset=utf-8"
    head, *cues = response.text.rstrip("\n").split("\n\n")
    assert head == "WEBVTT"
    assert cues == [
        "00:00:00.000 --> 00:00:01.000\none",
        "00:00:01.000 --> 00:00:02.000\ntwo",
        "00:00:02.000 --> 00:00:03.000\nthree",
    ]


@pytest.mark.parametrize("true", ["true", "True", "1"])
def test_a_stream_gives_deltas_then_the_whole(echo_server: Running, true: str) -> None:
    response = transcribe(echo_server, stream=true)
    assert response.headers["content-type"] == "text/event-stream"
    *deltas, done, end = events(response.text)
    assert end is None
    assert [delta["type"] for delta in deltas] == ["transcript.text.delta"] * 3
    assert all(set(delta) == {"type", "delta"} for delta in deltas)
    assert "".join(delta["delta"] for delta in deltas) == done["text"] == "one two three"
    assert done["type"] == "transcript.text.done"
    usage = done["usage"]
    assert usage["type"] == "tokens"
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["input_token_details"] == {"text_tokens": 0, "audio_tokens": usage["input_tokens"]}
    assert usage["output_tokens"] == len(" one two three")


@pytest.mark.parametrize("false", ["false", "False", "0", "", "null"])
def test_no_stream_is_one_body(echo_server: Running, false: str) -> None:
    assert transcribe(echo_server, stream=false).json() == {"text": "one two three"}


def test_segments_leave_as_they_are_decoded(echo_server: Running) -> None:
    import time

    form = {"model": "echo", "stream": "true", "step_ms": "300"}
    arrived = []
    with echo_server.client.stream("POST", TRANSCRIPTIONS, files={"file": ("a.wav", tone(4.0))}, data=form) as response:
        arrived.extend(time.monotonic() for line in response.iter_lines() if "delta" in line)
    assert len(arrived) == 4
    assert arrived[-1] - arrived[0] > 0.6, "the first left while the last were still to come"


@pytest.mark.parametrize("stream", ["true", "false"])
def test_logprobs_are_there_when_asked_for(echo_server: Running, stream: str) -> None:
    response = transcribe(echo_server, include__="logprobs", stream=stream)
    expected = [
        {"token": f" {word}", "logprob": -0.1, "bytes": list(f" {word}".encode())} for word in ("one", "two", "three")
    ]
    if stream == "false":
        assert response.json() == {"text": "one two three", "logprobs": expected}
        return
    *deltas, done, _ = events(response.text)
    assert [entry for delta in deltas for entry in delta["logprobs"]] == done["logprobs"] == expected


def test_what_was_asked_arrives_at_the_engine(echo_server: Running) -> None:
    asked = received(
        transcribe(echo_server, echo_request="true", prompt="Names: Zoë", temperature="0.25", language="de")
    )
    assert asked["prompt"] == "Names: Zoë"
    assert asked["temperature"] == 0.25
    assert asked["language"] == "de"
    assert asked["task"] == "transcribe"
    assert (asked["frames"], asked["rate"]) == (48_000, 16_000)
    assert asked["rms"] == pytest.approx(0.5 / 2**0.5, abs=0.01)
    assert (asked["word_timestamps"], asked["logprobs"]) == (False, False)


def test_unset_stays_unset(echo_server: Running) -> None:
    asked = received(transcribe(echo_server, echo_request="true"))
    assert (asked["prompt"], asked["temperature"], asked["language"]) == (None, None, None)


@pytest.mark.parametrize(
    ("sent", "code"), [("en-US", "en"), ("EN", "en"), ("english", "en"), ("pt_BR", "pt"), ("auto", None)]
)
def test_languages_in_any_usual_form(echo_server: Running, sent: str, code: str | None) -> None:
    assert received(transcribe(echo_server, echo_request="true", language=sent))["language"] == code


def test_keywords_and_allowed_languages_reach_the_engine(echo_server: Running) -> None:
    asked = received(
        transcribe(
            echo_server, echo_request="true", keywords__=["Zoë", "Open, Speech"], languages__=["German", "fr-CA"]
        )
    )
    assert (asked["keywords"], asked["languages"]) == (["Zoë", "Open, Speech"], ["de", "fr"])
    assert asked["language"] is None


def two_spans() -> bytes:
    """Give two stretches of speech: the first is heard in the first of two allowed languages, then the second."""
    silence = bytes(2 * 16_000 * 4)
    return wav(tone(2.1)[44:] + silence + tone(3.1)[44:])


def test_each_span_has_a_language_of_its_own(echo_server: Running) -> None:
    allowed = {"languages__": ["de", "fr"]}
    verbose = transcribe(echo_server, two_spans(), response_format="verbose_json", **allowed).json()
    heard = [segment["language"] for segment in verbose["segments"]]
    assert heard == sorted(heard)
    assert set(heard) == {"de", "fr"}
    assert verbose["language"] == "german"
    plain = transcribe(echo_server, two_spans(), **allowed).json()
    assert plain == {"text": verbose["text"], "languages": [{"code": "de"}, {"code": "fr"}]}
    *_, done, end = events(transcribe(echo_server, two_spans(), stream="true", **allowed).text)
    assert (done["languages"], end) == ([{"code": "de"}, {"code": "fr"}], None)


def test_without_allowed_languages_the_first_span_decides(echo_server: Running) -> None:
    verbose = transcribe(echo_server, two_spans(), response_format="verbose_json").json()
    assert verbose["language"] == "english"
    assert [set(segment) for segment in verbose["segments"]] == [TEN_FIELDS] * len(verbose["segments"])
    said = received(transcribe(echo_server, echo_request="true", language="de", languages__=["fr"]))
    assert (said["language"], said["languages"]) == ("de", ["fr"])


def test_allowed_languages_the_model_does_not_know_are_refused(echo_server: Running) -> None:
    answer = transcribe(echo_server, model="echo-slow", languages__=["de", "fr"])
    assert "knows en" in refused(answer, 400, "invalid_request", "languages")
    assert transcribe(echo_server, model="echo-slow", languages__=["de", "en"]).status_code == 200


def test_words_and_logprobs_are_asked_of_the_engine(echo_server: Running) -> None:
    asked = received(
        transcribe(echo_server, echo_request="true", include__="logprobs", timestamp_granularities__="word")
    )
    assert (asked["word_timestamps"], asked["logprobs"]) == (True, True)


def test_a_translation_is_asked_of_the_engine(echo_server: Running) -> None:
    asked = received(transcribe(echo_server, path=TRANSLATIONS, echo_request="true", prompt="Zoë"))
    assert (asked["task"], asked["prompt"]) == ("translate", "Zoë")


@pytest.mark.parametrize(
    "strategy",
    [
        {"chunking_strategy": "auto"},
        {"chunking_strategy": '{"type":"server_vad","threshold":0.5}'},
        {"chunking_strategy[type]": "server_vad", "chunking_strategy[threshold]": "0.6"},
    ],
)
def test_chunking_strategies_are_taken(echo_server: Running, strategy: dict[str, str]) -> None:
    assert transcribe(echo_server, **strategy).json() == {"text": "one two three"}


def test_a_strategys_threshold_decides_what_is_speech(echo_server: Running) -> None:
    quiet = tone(3.0, amplitude=0.01)  # echo's detector gives about 0.4
    low, high = (
        transcribe(echo_server, quiet, **{"chunking_strategy[type]": "server_vad", "chunking_strategy[threshold]": t})
        for t in ("0.2", "0.9")
    )
    assert low.json() == {"text": "one two three"}
    assert high.json() == {"text": ""}


def test_a_strategys_padding_and_silence_are_heeded(echo_server: Running) -> None:
    pcm, gap = tone(2.0)[44:], bytes(2 * 16_000)
    parts = wav(gap * 5 + pcm + gap + pcm)

    def starts(**vad: str) -> list[float]:
        strategy = {"chunking_strategy[type]": "server_vad", **{f"chunking_strategy[{n}]": v for n, v in vad.items()}}
        body = transcribe(echo_server, parts, response_format="verbose_json", **strategy).json()
        return [segment["start"] for segment in body["segments"] if segment["text"] == " one"]

    hop_s = 0.05
    assert starts() == [pytest.approx(4.7, abs=hop_s)], "OpenAI's 300 ms"
    assert starts(prefix_padding_ms="0") == [pytest.approx(5.0, abs=hop_s)]
    assert starts(prefix_padding_ms="1500") == [pytest.approx(3.5, abs=hop_s)]


def test_translation_needs_a_model_that_can(echo_server: Running) -> None:
    message = refused(
        transcribe(echo_server, path=TRANSLATIONS, model="echo-slow"), 400, "feature_not_supported", "model"
    )
    assert "'echo-slow' cannot translate" in message


@pytest.mark.parametrize(
    "model",
    [
        "whisper-1", "gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe",
        "gpt-4o-mini-transcribe-2025-12-15", "gpt-4o-transcribe-diarize", "gpt-realtime-whisper", "", "echo:echo", ...,
    ],
)  # fmt: skip
def test_openais_names_and_no_name_mean_the_default(echo_server: Running, model: Any) -> None:
    assert transcribe(echo_server, model=model).json() == {"text": "one two three"}


def test_options_only_others_know_are_named(start_server: StartServer) -> None:
    pytest.importorskip("open_speech_whisper")
    server = start_server(("open_speech_echo", "open_speech_whisper"))
    response = transcribe(server, beam_size="3", nobody_knows="x")
    assert response.status_code == 200, response.text
    assert response.headers["x-ignored-fields"] == "beam_size"
    assert "x-ignored-fields" not in transcribe(server, nobody_knows="x", step_ms="0").headers


def test_an_option_of_the_engine_is_checked(echo_server: Running) -> None:
    refused(transcribe(echo_server, step_ms="soon"), 400, "invalid_request", "step_ms")
    refused(transcribe(echo_server, step_ms="-1"), 400, "invalid_request", "step_ms")
    for number in ("9" * 30, str(1 << 63)):
        refused(transcribe(echo_server, fail_at=number), 400, "invalid_request", "fail_at")
    assert transcribe(echo_server, fail_at=str((1 << 63) - 1)).status_code == 200


def test_time_is_accounted_for(echo_server: Running) -> None:
    spent = timing(transcribe(echo_server, step_ms="50"))
    assert set(spent) == {"queue", "load", "decode", "engine", "encode", "total"}
    assert spent["engine"] >= 200, "four items of at least 50 ms"
    assert spent["total"] >= spent["engine"]


def test_json_audio_as_open_webui_sends_it(echo_server: Running) -> None:
    from base64 import b64encode

    body = {"model": "echo", "input_audio": {"data": b64encode(tone(2.0)).decode(), "format": "wav"}}
    response = checked(echo_server.client.post(TRANSCRIPTIONS, json=body))
    assert response.json() == {"text": "one two"}


def test_silence_has_no_words(echo_server: Running) -> None:
    silence = wav(bytes(2 * 32_000))
    assert transcribe(echo_server, silence).json() == {"text": ""}
    body = transcribe(echo_server, silence, response_format="verbose_json").json()
    assert (body["duration"], body["segments"], body["text"]) == (2.0, [], "")
    *deltas, done, end = events(transcribe(echo_server, silence, stream="true").text)
    assert (deltas, done["text"], end) == ([], "", None)


def test_times_count_from_the_start_of_the_file(echo_server: Running) -> None:
    pcm = tone(2.0)[44:]
    parts = wav(bytes(2 * 16_000 * 5) + pcm + bytes(2 * 16_000 * 5) + pcm)
    segments = transcribe(echo_server, parts, response_format="verbose_json").json()["segments"]
    starts = [segment["start"] for segment in segments if segment["text"] == " one"]
    # Echo counts anew in each span; each begins PAD_S before its speech, at a hop of the detector.
    assert starts == [pytest.approx(4.6, abs=0.05), pytest.approx(11.6, abs=0.05)]


def test_a_long_recording_is_cut_into_spans(echo_server: Running) -> None:
    body = transcribe(echo_server, tone(65.0), response_format="verbose_json").json()
    assert body["duration"] == 65.0
    ends = [segment["end"] for segment in body["segments"]]
    assert ends == sorted(ends)
    assert ends[-1] == 65.0
    first_of_span = [segment["start"] for segment in body["segments"] if segment["text"] == " one"]
    assert len(first_of_span) == 3
    assert all(20 <= later - earlier <= 30 for earlier, later in pairwise(first_of_span))


@pytest.mark.parametrize("format", ["mp3", "opus", "aac", "flac", "wav"])
def test_what_we_speak_we_can_hear(echo_server: Running, format: str) -> None:
    from api.calling import speak

    audio = speak(echo_server, "x" * 50, response_format=format).content  # 3 s
    asked = received(transcribe(echo_server, audio, name="audio", echo_request="true"))
    assert asked["frames"] / asked["rate"] == pytest.approx(3.0, abs=0.1)


@pytest.mark.model
@pytest.mark.parametrize("response_format", ["json", "text", "srt", "vtt", "verbose_json"])
def test_real_speech_in_every_format(starter_server: Running, data: Any, response_format: str) -> None:
    response = transcribe(
        starter_server, speech_file(data), name="jfk.flac", model="whisper-1", response_format=response_format
    )
    assert response.status_code == 200, response.text
    plain = re.sub(r"\s+", " ", response.text)
    assert "ask not what your country can do for you" in plain
    if response_format == "verbose_json":
        body = json.loads(response.text)
        assert body["duration"] == pytest.approx(11.0, abs=0.1)
        assert all(set(segment) == TEN_FIELDS for segment in body["segments"])
        assert all(0 <= segment["start"] < segment["end"] <= 11.1 for segment in body["segments"])


@pytest.mark.model
def test_an_english_model_does_not_translate(starter_server: Running, data: Any) -> None:
    response = transcribe(starter_server, speech_file(data), path=TRANSLATIONS, model="whisper-1")
    refused(response, 400, "feature_not_supported", "model")
