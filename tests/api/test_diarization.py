"""Who said what, over a real server: words go to speakers by their times."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
import pytest

from api.calling import TRANSCRIPTIONS, TRANSLATIONS, events, refused, timing, tone, transcribe, wav
from api.serving import ECHO, Running, StartServer

TONES = ("open_speech_echo", "api.plugins_for_tests.tones")
RATE = 16_000
LOW, HIGH = 300, 700
TEXT = "one two three four five six"
"""In one segment over six seconds: a word a second."""


def whistled(*parts: tuple[int, float], amplitude: int = 16_000) -> bytes:
    """Give a WAV of tones, each a frequency in Hz and its seconds."""
    pieces = [np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE) for hz, seconds in parts]
    return wav((np.concatenate(pieces) * amplitude).astype("<i2").tobytes(), RATE)


def data_url(file: bytes) -> str:
    return f"data:audio/wav;base64,{base64.b64encode(file).decode()}"


@pytest.fixture(scope="module")
def tones_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose diarizer hears tones, at a rate other than the recogniser's."""
    environ = {"STT_DIARIZE_MODEL": "tones", "STT_VAD_ENABLED": "false"}
    server = Running(tmp_path_factory.mktemp("tones"), TONES, environ)
    yield server
    server.await_quiet()
    server.stop()


def said(body: Any) -> list[tuple[str, str]]:
    """Give who says what, neighbours of one speaker together."""
    runs = groupby(body["segments"], key=lambda segment: segment["speaker"])
    return [(speaker, " ".join(segment["text"] for segment in own)) for speaker, own in runs]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (TRANSCRIPTIONS, {"diarize": "true"}),
        (f"{TRANSCRIPTIONS}?diarize=true", {}),
        (f"{TRANSCRIPTIONS}?diarize=1", {"response_format": "json"}),
        (TRANSCRIPTIONS, {"response_format": "diarized_json"}),
        (TRANSCRIPTIONS, {"response_format": "diarized_json", "model": "gpt-4o-transcribe-diarize"}),
        (TRANSCRIPTIONS, {"response_format": "diarized_json", "chunking_strategy": "auto"}),
    ],
)
def test_speakers_are_asked_for_by_form_query_and_format(
    echo_server: Running, path: str, fields: dict[str, str]
) -> None:
    body = transcribe(echo_server, tone(5.0), path=path, **fields).json()
    assert set(body) == {"task", "duration", "text", "segments", "usage"}
    assert (body["task"], body["duration"], body["text"]) == ("transcribe", 5.0, "one two three four five")
    assert [set(segment) for segment in body["segments"]] == [{"type", "id", "start", "end", "text", "speaker"}] * 5
    assert said(body) == [("A", "one two"), ("B", "three four"), ("A", "five")]


def test_words_go_to_who_speaks_at_their_time(tones_server: Running) -> None:
    """One segment of the recogniser, two speakers of unequal time (4.1 s and 1.9 s)."""
    file = whistled((LOW, 1.1), (HIGH, 1.9), (LOW, 3.0))
    response = transcribe(tones_server, file, diarize="true", echo_text=TEXT)
    assert timing(response)["diarize"] > 0
    body = response.json()
    assert [(s["speaker"], s["text"], s["start"], s["end"]) for s in body["segments"]] == [
        ("A", "one", 0.0, 1.0),
        ("B", "two three", 1.0, 3.0),
        ("A", "four five six", 3.0, 6.0),
    ]
    assert " ".join(segment["text"] for segment in body["segments"]) == body["text"] == TEXT


def test_subtitles_and_verbose_json_name_speakers(tones_server: Running) -> None:
    file = whistled((LOW, 2.0), (HIGH, 4.0))

    def asked(response_format: str) -> Any:
        return transcribe(tones_server, file, diarize="true", echo_text=TEXT, response_format=response_format)

    assert asked("srt").text == (
        "1\n00:00:00,000 --> 00:00:02,000\nA: one two\n\n2\n00:00:02,000 --> 00:00:06,000\nB: three four five six\n\n"
    )
    assert asked("vtt").text == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nA: one two\n\n"
        "00:00:02.000 --> 00:00:06.000\nB: three four five six\n\n"
    )
    body = asked("verbose_json").json()
    assert [segment["speaker"] for segment in body["segments"]] == ["A", "B"]
    assert (body["text"], "words" in body) == (TEXT, False)
    assert asked("text").text == f"{TEXT}\n"


def test_rttm_says_who_speaks_when_and_recognises_nothing(tones_server: Running) -> None:
    file = whistled((LOW, 1.5), (HIGH, 2.25))
    response = transcribe(tones_server, file, response_format="rttm", name="my talk.wav", fail="raise")
    assert response.status_code == 200, "the recogniser, told to fail, was not asked"
    assert timing(response)["engine"] > 0
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text == (
        "SPEAKER my_talk 1 0.000 1.500 <NA> <NA> A <NA> <NA>\nSPEAKER my_talk 1 1.500 2.250 <NA> <NA> B <NA> <NA>\n"
    )


def test_rttm_needs_no_recogniser(start_server: StartServer) -> None:
    server = start_server(("api.plugins_for_tests.tones",), {"STT_VAD_ENABLED": "false"})
    file = whistled((LOW, 1.5), (HIGH, 2.25))
    known = {"known_speaker_names__": ["agent"], "known_speaker_references__": [data_url(whistled((HIGH, 2.0)))]}
    response = transcribe(server, file, model=..., response_format="rttm", **known)
    assert response.status_code == 200, response.text
    assert [line.split()[7] for line in response.text.splitlines()] == ["A", "agent"]
    assert timing(response)["engine"] > 0
    refused(transcribe(server, b"no audio", response_format="rttm"), 400, "invalid_audio", "file")
    message = refused(
        transcribe(server, file, model=..., response_format="diarized_json"), 404, "model_not_found", "model"
    )
    assert "no transcriber is installed" in message


@pytest.mark.parametrize(("normalize", "heard"), [("true", ["A", "agent"]), ("false", [])])
def test_a_diarizer_of_another_rate_hears_what_the_recogniser_hears(
    start_server: StartServer, normalize: str, heard: list[str]
) -> None:
    pytest.importorskip("scipy")
    environ = {"STT_DIARIZE_MODEL": "tones", "STT_VAD_ENABLED": "false", "STT_NORMALIZE": normalize}
    server = start_server((*TONES, "open_speech_loudness"), environ)
    file = whistled((LOW, 2.0), (HIGH, 2.0), amplitude=200)
    known = {
        "known_speaker_names__": ["agent"],
        "known_speaker_references__": [data_url(whistled((HIGH, 2.0), amplitude=200))],
    }
    lines = transcribe(server, file, response_format="rttm", **known).text.splitlines()
    assert [line.split()[7] for line in lines] == heard
    body = transcribe(server, file, response_format="diarized_json", echo_text=TEXT, **known).json()
    assert list(dict.fromkeys(speaker for speaker, _ in said(body))) == (heard or ["A"])


def test_known_speakers_keep_their_names(tones_server: Running) -> None:
    file = whistled((LOW, 2.0), (HIGH, 2.0), (500, 2.0))
    known = {
        "known_speaker_names__": ["agent", "B"],
        "known_speaker_references__": [data_url(whistled((HIGH, 2.0))), data_url(whistled((900, 3.0)))],
    }
    body = transcribe(tones_server, file, response_format="diarized_json", echo_text=TEXT, **known).json()
    assert said(body) == [("A", "one two"), ("agent", "three four"), ("C", "five six")], "B is somebody else's name"
    lines = transcribe(tones_server, file, response_format="rttm", **known).text.splitlines()
    assert [line.split()[7] for line in lines] == ["A", "agent", "C"]


def test_how_many_speak_may_be_said(echo_server: Running) -> None:
    body = transcribe(echo_server, tone(7.0), diarize="true", speakers="3").json()
    assert [speaker for speaker, _ in said(body)] == ["A", "B", "C", "A"]
    message = refused(transcribe(echo_server, diarize="true", speakers="0"), 400, "invalid_request", "speakers")
    assert ">= 1" in message


def test_a_stream_ends_with_who_said_what(echo_server: Running) -> None:
    response = transcribe(echo_server, tone(5.0), response_format="diarized_json", stream="true")
    found = events(response.text)
    assert [each and each["type"].removeprefix("transcript.text.") for each in found] == [
        *["delta"] * 5, *["segment"] * 5, "done", None,
    ]  # fmt: skip
    deltas = "".join(each["delta"] for each in found[:5])
    assert deltas == found[10]["text"] == "one two three four five"
    assert [(each["id"], each["speaker"], each["text"]) for each in found[5:10]] == [
        ("seg_001", "A", "one"),
        ("seg_002", "A", "two"),
        ("seg_003", "B", "three"),
        ("seg_004", "B", "four"),
        ("seg_005", "A", "five"),
    ]


def test_without_asking_nobody_is_told_apart(echo_server: Running) -> None:
    for fields in ({}, {"diarize": "false"}, {"model": "gpt-4o-transcribe-diarize"}):
        assert transcribe(echo_server, **fields).json() == {"text": "one two three"}
    assert "speaker" not in transcribe(echo_server, response_format="verbose_json").json()["segments"][0]
    assert transcribe(echo_server, path=f"{TRANSLATIONS}?diarize=true").json() == {"text": "one two three"}


def test_openais_diarizing_model_names_speakers_where_they_are_seen(echo_server: Running) -> None:
    text = transcribe(echo_server, model="gpt-4o-transcribe-diarize", response_format="srt").text
    assert "B: three" in text


LONG = data_url(tone(3.0))


@pytest.mark.parametrize(
    ("names", "references", "param", "hint"),
    [
        (["a"], ["https://example.org/a.wav"], "known_speaker_references", "data URL"),
        (["a"], ["data:audio/wav;base64,%%%"], "known_speaker_references", "does not hold base64"),
        (["a"], ["data:audio/wav,abc"], "known_speaker_references", "must be in base64"),
        (["a"], [data_url(b"no audio at all, only words")], "known_speaker_references", "'a': it is not audio"),
        (["a"], [data_url(tone(1.0))], "known_speaker_references", "'a' is 1.0 s long; 2 to 10 s"),
        (["a"], [data_url(tone(10.5))], "known_speaker_references", "'a' is 10.5 s long"),
        (["a", "b"], [LONG], "known_speaker_references", "1 references for 2"),
        (["a", "a"], [LONG, LONG], "known_speaker_names", "once"),
        (["a"], ..., "known_speaker_names", "needs its known_speaker_references"),
        (list("abcde"), [LONG] * 4, "known_speaker_names", "length <= 4"),
    ],
)
@pytest.mark.parametrize("stream", ["false", "true"])
def test_bad_references_are_refused_before_anything_is_sent(
    echo_server: Running, names: list[str], references: Any, param: str, hint: str, stream: str
) -> None:
    response = transcribe(
        echo_server,
        response_format="diarized_json",
        stream=stream,
        known_speaker_names__=names,
        known_speaker_references__=references,
    )
    assert hint in refused(response, 400, "invalid_request", param)


def test_rttm_cannot_be_streamed(echo_server: Running) -> None:
    response = transcribe(echo_server, response_format="rttm", stream="true")
    assert "diarized_json" in refused(response, 400, "invalid_request", "stream")


@pytest.mark.parametrize("response_format", ["diarized_json", "rttm"])
def test_bad_audio_is_refused(echo_server: Running, response_format: str) -> None:
    response = transcribe(echo_server, b"no audio at all, only words", response_format=response_format)
    refused(response, 400, "invalid_audio", "file")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"diarize": "true"}, "diarize"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"response_format": "rttm"}, "response_format"),
    ],
)
def test_switched_off_it_is_refused_with_the_way_to_switch_it_on(
    start_server: StartServer, fields: dict[str, str], param: str
) -> None:
    server = start_server(ECHO, {"STT_DIARIZE_ENABLED": "false"})
    message = refused(transcribe(server, **fields), 400, "feature_not_supported", param)
    assert "STT_DIARIZE_ENABLED=true" in message
    assert "switched off" in refused(
        transcribe(server, path=f"{TRANSCRIPTIONS}?diarize=true"), 400, "feature_not_supported", "diarize"
    )
    plain = transcribe(server, model="gpt-4o-transcribe-diarize", response_format="srt")
    assert "1\n00:00:00,000 --> 00:00:01,000\none\n" in plain.text


def test_a_diarizer_that_is_not_there_is_refused(start_server: StartServer) -> None:
    server = start_server(ECHO, {"STT_DIARIZE_MODEL": "nobody"})
    message = refused(transcribe(server, diarize="true"), 400, "feature_not_supported", "diarize")
    assert "STT_DIARIZE_MODEL='nobody'" in message


def test_without_a_diarizer_it_says_how_to_get_one(starter_server: Running) -> None:
    message = refused(transcribe(starter_server, model=..., diarize="true"), 400, "feature_not_supported", "diarize")
    assert "open-speech providers install resemblyzer" in message


def test_one_model_at_a_time_is_enough(start_server: StartServer) -> None:
    """Recogniser and diarizer then take turns in memory."""
    server = start_server(TONES, {"OS_MAX_LOADED_MODELS": "1", "STT_DIARIZE_MODEL": "tones", "OS_QUEUE_WAIT_S": "2"})
    file = whistled((LOW, 3.0), (HIGH, 3.0))
    for _ in range(2):
        body = transcribe(server, file, diarize="true", step_ms="500").json()
        assert said(body) == [("A", "one two three"), ("B", "four five six")]


def test_a_diarizer_that_fails_fails_the_request(start_server: StartServer) -> None:
    server = start_server(("open_speech_echo", "api.plugins_for_tests.tones"), {"STT_DIARIZE_MODEL": "echo-turns"})
    response = transcribe(server, tone(5.0), response_format="rttm", fail="raise")
    assert response.status_code >= 500
    assert transcribe(server, tone(5.0), diarize="true").status_code == 200


def test_a_diarizer_is_loaded_and_unloaded_by_name(start_server: StartServer) -> None:
    server = start_server(TONES)
    assert server.client.post("/api/models/tones/load").json()["state"] == "loaded"
    assert server.client.get("/api/models/tones").json()["state"] == "loaded"
    assert server.client.delete("/api/models/tones").status_code == 200
    assert "tones" not in {model["id"] for model in server.client.get("/v1/models").json()["data"]}
