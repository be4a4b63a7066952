"""Effects over HTTP: in their order, streamed, refused by place and field; and what settings do to sound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.calling import decoded, pitch, received, refused, speak, transcribe, wav
from api.serving import ECHO, STARTER, Running, StartServer

pytest.importorskip("scipy")
PLUGINS = (*ECHO, "open_speech_effects", "open_speech_loudness", "open_speech_denoise")
AS_MADE = {"TTS_TRIM_SILENCE": "false", "TTS_NORMALIZE_OUTPUT": "false", "STT_NORMALIZE": "false"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    running = Running(tmp_path_factory.mktemp("effects"), PLUGINS, AS_MADE)
    yield running
    running.await_quiet()
    running.stop()


def sound(server: Running, *effects: dict[str, Any], **fields: Any) -> tuple[Any, int]:
    response = speak(server, "x" * 25, response_format="wav", effects=list(effects), **fields)
    assert response.status_code == 200, response.text
    assert "x-ignored-fields" not in response.headers
    return decoded(response.content)


def test_an_effect_is_heard(server: Running) -> None:
    plain, rate = sound(server)
    high, _ = sound(server, {"type": "pitch", "semitones": 12})
    assert pitch(plain, rate) == pytest.approx(440, abs=3)
    assert pitch(high, rate) == pytest.approx(880, abs=9)
    assert len(high) == len(plain)


def test_effects_follow_each_other(server: Running) -> None:
    """Of 440 Hz the robot makes 340 and 540; an octave up after it moves both, before it the middle."""
    octave, robot = {"type": "pitch", "semitones": 12}, {"type": "robot"}
    for effects, expected in (((robot, octave), (680, 1080)), ((octave, robot), (780, 980))):
        samples, rate = sound(server, *effects)
        power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 8 * len(samples)))
        hz = np.arange(len(power)) * rate / (8 * len(samples))
        share = sum(power[np.abs(hz - each) < 30].sum() for each in expected) / power.sum()
        assert share > 0.6, (effects, share)


@pytest.mark.parametrize("format", ["mp3", "opus", "pcm"])
def test_streams_have_effects_too(server: Running, format: str) -> None:
    effects = [{"type": "podcast_eq"}, {"type": "normalize", "target_lufs": -20}, {"type": "robot"}]
    response = speak(server, "One. Two. Three.", response_format=format, effects=effects)
    assert response.status_code == 200
    assert len(response.content) > 1000
    events = speak(server, stream_format="sse", response_format=format, effects=effects)
    assert events.text.rstrip().endswith("[DONE]")


@pytest.mark.parametrize(
    ("effect", "param", "said"),
    [
        ({"type": "cathedral"}, "effects[1].type", "podcast_eq"),
        ({"type": 5}, "effects[1].type", "name of an effect"),
        ({}, "effects[1].type", "name of an effect"),
        ("pitch", "effects[1]", "an object"),
        (None, "effects[1]", "an object"),
        ({"type": "pitch", "semitones": 13}, "effects[1].semitones", "<= 12"),
        ({"type": "pitch", "semitones": "high"}, "effects[1].semitones", "float"),
        ({"type": "reverb", "room": "hall"}, "effects[1].room", "hall"),
        ({"type": "reverb", "mix": 5}, "effects[1].mix", "<= 1"),
        ({"type": "normalize", "target_lufs": 0}, "effects[1].target_lufs", "<= -5"),
        ({"type": "robot", "speed": 2}, "effects[1].speed", "takes none"),
        ({"type": "pitch", "semitone": 2}, "effects[1].semitone", "semitones"),
    ],
)
def test_a_wrong_effect_is_named_by_place_and_field(server: Running, effect: Any, param: str, said: str) -> None:
    response = speak(server, effects=[{"type": "robot"}, effect])
    assert said in refused(response, 400, "invalid_request", param)


def test_too_many_and_no_list(server: Running) -> None:
    refused(speak(server, effects=[{"type": "robot"}] * 17), 400, "invalid_request", "effects")
    refused(speak(server, effects={"type": "robot"}), 400, "invalid_request", "effects")
    assert speak(server, effects=[{"type": "robot"}] * 16).status_code == 200
    assert speak(server, effects=[]).status_code == 200


def test_effects_are_listed_with_their_fields(server: Running) -> None:
    listed = {each["type"]: each for each in server.client.get("/api/effects").json()["effects"]}
    assert {"pitch", "reverb", "podcast_eq", "robot", "normalize", "denoise", "fade", "trim"} <= set(listed)
    semitones = listed["pitch"]["schema"]["properties"]["semitones"]
    assert (semitones["minimum"], semitones["maximum"], semitones["default"]) == (-12, 12, 0)
    assert not listed["pitch"]["streams"]
    assert listed["reverb"]["streams"]


def test_an_effect_that_is_not_installed_says_how_to_get_it(echo_server: Running) -> None:
    message = refused(speak(echo_server, effects=[{"type": "pitch"}]), 400, "feature_not_supported", "effects[0].type")
    assert 'pip install ".[effects]"' in message


def test_switched_off_they_are_ignored_and_said_so(start_server: StartServer) -> None:
    server = start_server(PLUGINS, {**AS_MADE, "OS_EFFECTS_ENABLED": "false"})
    response = speak(server, effects=[{"type": "cathedral"}])
    assert response.status_code == 200
    assert "effects" in response.headers["x-ignored-fields"]
    assert server.client.get("/api/effects").json() == {"effects": []}


# what settings do


def quiet_tone(level: float) -> bytes:
    times = np.arange(5 * 16_000) / 16_000
    return wav((np.sin(2 * np.pi * 440 * times) * level * 32767).astype("<i2").tobytes())


def level_db(found: dict[str, Any]) -> float:
    return 20 * float(np.log10(found["rms"]))


@pytest.mark.parametrize("level", [0.004, 0.05, 0.9])
def test_recordings_are_brought_to_a_level(start_server: StartServer, level: float) -> None:
    server = start_server(PLUGINS, {})
    found = received(transcribe(server, quiet_tone(level), echo_request="true"))
    assert level_db(found) == pytest.approx(-18, abs=0.5)
    assert found["peak"] <= 1


def test_recordings_are_left_alone_where_that_is_wanted(server: Running) -> None:
    found = received(transcribe(server, quiet_tone(0.05), echo_request="true"))
    assert level_db(found) == pytest.approx(20 * np.log10(0.05 / np.sqrt(2)), abs=0.2)


def test_noise_reduction_that_is_not_installed_says_how_to_get_it(start_server: StartServer) -> None:
    server = start_server(ECHO, {"STT_NOISE_REDUCE": "true"})
    message = refused(transcribe(server), 400, "feature_not_supported", None)
    assert 'pip install ".[denoise]"' in message


@pytest.mark.model
@pytest.mark.slow
def test_noisy_speech_is_understood_no_worse(start_server: StartServer, data: Path) -> None:
    from plugins.bench import decode

    speech = decode(data / "speech" / "jfk.flac")
    noise = np.random.default_rng(1).normal(0, 0.03, len(speech))
    noisy = wav(np.clip((speech + noise) * 32767, -32768, 32767).astype("<i2").tobytes())
    heard = []
    for reduce in ("false", "true"):
        server = start_server((*STARTER, "open_speech_denoise"), {"STT_NOISE_REDUCE": reduce})
        heard.append(json.loads(transcribe(server, noisy, model="whisper-1").text)["text"].lower())
    said = "ask not what your country can do for you ask what you can do for your country"
    assert all(word in heard[1] for word in said.split()), heard


def test_speech_is_trimmed_and_its_peaks_raised(start_server: StartServer) -> None:
    server = start_server(PLUGINS, {})
    samples, rate = decoded(speak(server, "x" * 25, response_format="wav").content)
    assert np.abs(samples).max() == pytest.approx(0.95, abs=0.03)
    assert pitch(samples, rate) == pytest.approx(440, abs=3)
