"""Speech over a real server: every format whole, at its rate, as it is made."""

from __future__ import annotations

import json
import struct
import time
from base64 import b64decode
from typing import Any

import numpy as np
import pytest

from api.calling import SPEECH, checked, decoded, events, pitch, refused, speak, timing
from api.serving import Running, StartServer

CHARACTER_S = 0.06
TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
RATES = {"opus": 48_000}
PADDING = {"mp3": 2880, "aac": 2100}
"""Samples beyond the text's: these have no length in their header, round up to whole frames, and begin late."""
TEXT = "x" * 25
SECONDS = 1.5
OPENAI_VOICES = (
    "alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse", "marin", "cedar",
)  # fmt: skip
FORMATS = pytest.mark.parametrize("format", list(TYPES))


def heard(audio: bytes, format: str, rate: int = 24_000) -> tuple[np.ndarray[Any, Any], int]:
    if format == "pcm":
        return np.frombuffer(audio, "<i2").astype(np.float32) / 32768, rate
    return decoded(audio)


def assert_is_the_tone(audio: bytes, format: str, *, seconds: float = SECONDS, rate: int = 24_000) -> None:
    """440 Hz at half of full scale for so long, nothing lost at either end."""
    samples, found = heard(audio, format, rate)
    assert found == RATES.get(format, rate)
    assert seconds - 0.001 <= len(samples) / found <= seconds + 0.001 + PADDING.get(format, 0) / found
    assert pitch(samples, found) == pytest.approx(440, abs=3)
    loud = np.flatnonzero(np.abs(samples) > 0.1) / found
    assert loud[-1] - loud[0] == pytest.approx(seconds, abs=0.02)
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.06)


@pytest.fixture(scope="module", params=[22_050, 16_000], ids=["voice-22050", "voice-16000"])
def other_rate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    server = Running(tmp_path_factory.mktemp("rate"), environ={"ECHO_RATE": str(request.param)})
    yield server
    server.await_quiet()
    server.stop()


@FORMATS
def test_a_format_is_whole_and_has_its_type(echo_server: Running, format: str) -> None:
    response = speak(echo_server, TEXT, response_format=format)
    assert response.status_code == 200
    assert response.headers["content-type"] == TYPES[format]
    assert "content-length" not in response.headers, "it leaves while it is made"
    assert_is_the_tone(response.content, format)


@FORMATS
def test_a_voice_of_another_rate_sounds_the_same(other_rate: Running, format: str) -> None:
    assert_is_the_tone(speak(other_rate, TEXT, response_format=format).content, format)


def test_mp3_is_the_default(echo_server: Running) -> None:
    response = speak(echo_server, TEXT)
    assert response.headers["content-type"] == "audio/mpeg"
    assert_is_the_tone(response.content, "mp3")


@pytest.mark.parametrize("format", ["flac", "wav", "pcm"])
def test_lossless_formats_are_exact_to_the_frame(echo_server: Running, format: str) -> None:
    samples, rate = heard(speak(echo_server, TEXT, response_format=format).content, format)
    times = np.arange(round(SECONDS * rate)) / rate
    assert len(samples) == len(times)
    np.testing.assert_allclose(samples, 0.5 * np.sin(2 * np.pi * 440 * times), atol=2 / 32768)


@FORMATS
def test_the_whole_has_its_length(echo_server: Running, format: str) -> None:
    response = speak(echo_server, TEXT, query="?stream=false", response_format=format)
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.headers["content-type"] == TYPES[format]
    assert_is_the_tone(response.content, format)


def test_a_wav_says_its_size_when_it_is_known(echo_server: Running) -> None:
    streamed = speak(echo_server, TEXT, response_format="wav").content
    whole = speak(echo_server, TEXT, query="?stream=false", response_format="wav").content
    assert streamed[44:] == whole[44:]
    assert struct.unpack_from("<4sI", whole, 36) == (b"data", len(whole) - 44)
    assert struct.unpack_from("<4sI", whole, 0) == (b"RIFF", len(whole) - 8)
    assert struct.unpack_from("<4sI", streamed, 36) == (b"data", 0xFFFFFFFF)
    assert struct.unpack_from("<IHHIIHH", whole, 16) == (16, 1, 1, 24_000, 48_000, 2, 16)


@FORMATS
def test_events_make_up_one_file(echo_server: Running, format: str) -> None:
    response = speak(echo_server, f"{TEXT}. {TEXT}.", response_format=format, stream_format="sse")
    assert response.headers["content-type"] == "text/event-stream"
    *deltas, done, end = events(response.text)
    assert end is None
    assert all(set(delta) == {"type", "audio"} for delta in deltas)
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    assert set(done) == {"type", "usage"}
    assert done["type"] == "speech.audio.done"
    assert set(done["usage"]) == {"input_tokens", "output_tokens", "total_tokens"}
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + done["usage"]["output_tokens"]
    audio = b"".join(b64decode(delta["audio"], validate=True) for delta in deltas)
    samples, rate = heard(audio, format)
    assert len(samples) / rate == pytest.approx(52 * CHARACTER_S, abs=0.001 + PADDING.get(format, 0) / rate)


@pytest.mark.parametrize("speed", [0.25, 0.5, 2, 4.0])
def test_speed_divides_the_length(echo_server: Running, speed: float) -> None:
    audio = speak(echo_server, TEXT, response_format="pcm", speed=speed).content
    assert len(audio) / 2 / 24_000 == pytest.approx(SECONDS / speed, abs=0.001)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("format", ["wav", "pcm", "flac", "mp3"])
def test_another_sample_rate(echo_server: Running, format: str, rate: int) -> None:
    assert_is_the_tone(speak(echo_server, TEXT, response_format=format, sample_rate=rate).content, format, rate=rate)


def test_speech_of_many_sentences_loses_nothing(echo_server: Running) -> None:
    text = "One sentence here. Another one follows! And a third?"
    audio = speak(echo_server, text, response_format="pcm").content
    spoken = len(text) - 2  # the spaces between sentences are not spoken
    assert len(audio) / 2 / 24_000 == pytest.approx(spoken * CHARACTER_S, abs=0.002)


@pytest.mark.parametrize("voice", ["sine", "square", "high"])
@pytest.mark.parametrize("form", [str, lambda name: {"id": name}])
def test_a_voice_by_name_or_by_id(echo_server: Running, voice: str, form: Any) -> None:
    audio = speak(echo_server, TEXT, response_format="pcm", voice=form(voice)).content
    expected = {"sine": 440, "square": 220, "high": 880}[voice]
    assert pitch(heard(audio, "pcm")[0], 24_000) == pytest.approx(expected, abs=3)


@pytest.mark.parametrize("voice", OPENAI_VOICES)
def test_openais_voices_speak(echo_server: Running, voice: str) -> None:
    response = speak(echo_server, TEXT, response_format="pcm", voice=voice)
    assert response.status_code == 200
    known = {"alloy": 440, "echo": 220, "nova": 880}
    found = pitch(heard(response.content, "pcm")[0], 24_000)
    assert found == pytest.approx(known.get(voice, min(known.values(), key=lambda hz: abs(hz - found))), abs=3)


def test_openais_voices_are_spread(echo_server: Running) -> None:
    spoken = {speak(echo_server, "hm", response_format="pcm", voice=voice).content for voice in OPENAI_VOICES}
    assert len(spoken) == 3, "echo has three voices"


@pytest.mark.parametrize("voice", [..., "", None, "default"])
def test_no_voice_is_the_first(echo_server: Running, voice: Any) -> None:
    audio = speak(echo_server, TEXT, response_format="pcm", voice=voice).content
    assert pitch(heard(audio, "pcm")[0], 24_000) == pytest.approx(440, abs=3)


@pytest.mark.parametrize(
    "model", ["tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15", "echo:echo-voice", "", None, ...]
)
def test_openais_models_and_none_mean_the_default(echo_server: Running, model: Any) -> None:
    assert_is_the_tone(speak(echo_server, TEXT, response_format="pcm", model=model).content, "pcm")


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"voice": "nobody"}, 400, "voice_not_found", "voice"),
        ({"voice": {"id": "nobody"}}, 400, "voice_not_found", "voice"),
        ({"voice": {"name": "sine"}}, 400, "invalid_request", "voice"),
        ({"voice": 3}, 400, "invalid_request", "voice"),
        ({"response_format": "ogg"}, 400, "invalid_request", "response_format"),
        ({"response_format": 1}, 400, "invalid_request", "response_format"),
        ({"model": "nothing-such"}, 404, "model_not_found", "model"),
        ({"model": "echo-slow"}, 404, "model_not_found", "model"),
        ({"model": ["echo-voice"]}, 400, "invalid_request", "model"),
        ({"speed": 0.2}, 400, "invalid_request", "speed"),
        ({"speed": 4.5}, 400, "invalid_request", "speed"),
        ({"speed": "fast"}, 400, "invalid_request", "speed"),
        ({"stream_format": "websocket"}, 400, "invalid_request", "stream_format"),
        ({"sample_rate": 4_000}, 400, "invalid_request", "sample_rate"),
        ({"input_type": "ssml"}, 400, "feature_not_supported", "input_type"),
        ({"step_ms": -1}, 400, "invalid_request", "step_ms"),
        ({"step_ms": "1"}, 400, "invalid_request", "step_ms"),
        ({"input": ""}, 400, "invalid_request", "input"),
        ({"input": " \n\t"}, 400, "invalid_request", "input"),
        ({"input": ...}, 400, "invalid_request", "input"),
        ({"input": None}, 400, "invalid_request", "input"),
        ({"input": "x" * 4097}, 400, "invalid_request", "input"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    echo_server: Running, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    body = {"model": "echo-voice", "input": "Hi.", "voice": "sine", **fields}
    sent = {key: value for key, value in body.items() if value is not ...}
    refused(echo_server.client.post(SPEECH, json=sent), status, code, param)


def test_the_longest_text_is_spoken(echo_server: Running) -> None:
    response = speak(echo_server, "word " * 819 + "x", response_format="opus", speed=4)
    samples, rate = decoded(response.content)
    assert len(samples) / rate > 55


def test_what_nobody_here_can_do_is_named(echo_server: Running) -> None:
    response = speak(echo_server, seed=3, instructions="whisper", voice_design="old", unheard_of=1)
    assert response.status_code == 200
    assert set(response.headers["x-ignored-fields"].split(", ")) == {"seed", "instructions", "voice_design"}


def test_an_accept_header_decides_nothing(echo_server: Running) -> None:
    for accept in ("application/octet-stream", "application/json", "text/event-stream", "image/png"):
        body = {"model": "echo-voice", "input": TEXT, "voice": "sine", "response_format": "pcm"}
        response = checked(echo_server.client.post(SPEECH, json=body, headers={"accept": accept}))
        assert response.headers["content-type"] == "audio/pcm"


@pytest.mark.parametrize("format", ["pcm", "wav", "mp3", "opus", "aac", "flac"])
def test_the_first_bytes_leave_long_before_the_last(echo_server: Running, format: str) -> None:
    body = {"model": "echo-voice", "input": "x" * 50, "voice": "sine", "response_format": format, "step_ms": 60}
    since = time.monotonic()
    with echo_server.client.stream("POST", SPEECH, json=body) as response:
        chunks = response.iter_raw()
        size = len(next(chunks))
        while size < 500:
            size += len(next(chunks))
        first_s = time.monotonic() - since
        for _ in chunks:
            pass
    total_s = time.monotonic() - since
    assert total_s > 12 * 0.06, "twelve steps of a quarter of a second of audio"
    assert first_s < total_s / 2


def test_time_is_accounted_for(echo_server: Running) -> None:
    spent = timing(speak(echo_server, TEXT, query="?stream=false", response_format="pcm", step_ms=20))
    assert set(spent) == {"queue", "load", "decode", "engine", "encode", "total"}
    assert spent["engine"] >= 6 * 20
    assert spent["total"] >= spent["engine"]


def test_tts_can_be_switched_off(start_server: StartServer) -> None:
    server = start_server(environ={"TTS_ENABLED": "false"})
    refused(speak(server), 404, "model_not_found", None)
    refused(server.client.get("/v1/audio/voices"), 404, "model_not_found", None)
    listed = server.client.get("/v1/models").json()["data"]
    assert {model["kind"] for model in listed} == {"transcriber"}


def test_the_settings_are_the_defaults(start_server: StartServer) -> None:
    server = start_server(
        environ={"TTS_VOICE": "high", "TTS_SPEED": "2", "TTS_DEFAULT_FORMAT": "wav", "TTS_MAX_INPUT_LENGTH": "30"}
    )
    response = speak(server, TEXT, voice=...)
    assert response.headers["content-type"] == "audio/wav"
    samples, rate = decoded(response.content)
    assert len(samples) / rate == pytest.approx(SECONDS / 2, abs=0.001)
    assert pitch(samples, rate) == pytest.approx(880, abs=3)
    refused(speak(server, "x" * 31), 400, "invalid_request", "input")


@pytest.mark.model
@FORMATS
def test_a_real_voice_in_every_format(starter_server: Running, format: str) -> None:
    response = speak(
        starter_server, "Hello there, how are you today?", model="tts-1", voice="alloy", response_format=format
    )
    assert response.status_code == 200, response.text
    samples, rate = heard(response.content, format)
    assert rate == RATES.get(format, 24_000)
    assert 1.0 < len(samples) / rate < 4.0
    assert 0.05 < np.abs(samples).max() <= 1.05, "a lossy codec may overshoot a little"


@pytest.mark.model
def test_what_a_real_voice_says_is_understood(starter_server: Running) -> None:
    from api.calling import transcribe

    audio = speak(
        starter_server, "The weather is nice today.", model="tts-1", voice="nova", response_format="opus"
    ).content
    text = transcribe(starter_server, audio, name="x", model="whisper-1").json()["text"]
    assert "weather is nice today" in text.lower()


def test_an_error_after_the_first_event_is_an_event(echo_server: Running) -> None:
    response = speak(echo_server, "x" * 50, response_format="pcm", stream_format="sse", fail="raise", fail_at=5)
    assert response.status_code == 200
    *deltas, error = events(response.text)
    assert deltas
    assert set(error) == {"error"}
    assert error["error"]["code"] == "engine_error"
    assert "secret" not in json.dumps(error)
    assert "private" not in json.dumps(error)


def test_an_error_after_the_first_bytes_aborts_the_body(echo_server: Running) -> None:
    import httpx

    with pytest.raises(httpx.RemoteProtocolError):
        speak(echo_server, "x" * 50, response_format="pcm", fail="raise", fail_at=5)
    refused(speak(echo_server, "x" * 50, response_format="pcm", fail="raise"), 500, "engine_error", None)
