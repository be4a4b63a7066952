"""Over a real server: a request reaches the model of its family that can serve it."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from api.calling import pitch, refused, speak, tone
from api.serving import Running, StartServer

SMALL, DESIGN = "qwen3-tts/0.6B-CustomVoice", "qwen3-tts/1.7B-VoiceDesign"


PLUGIN = ("api.plugins_for_tests.family",)
ENVIRON = {"OS_AUTO_DOWNLOAD": "false", "TTS_MODEL": SMALL, "PYTHONPATH": str(Path(__file__).parents[1])}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = Running(tmp_path_factory.mktemp("family"), PLUGIN, ENVIRON)
    yield made
    made.await_quiet()
    made.stop()


def test_nothing_is_loaded_at_start(server: Running) -> None:
    answer = server.client.get("/api/models").json()
    states = {model["id"]: model["state"] for model in answer["models"]}
    assert states[SMALL] == "downloaded"
    assert "loaded" not in states.values()


@pytest.mark.parametrize(
    ("fields", "hz", "level"),
    [
        ({"voice": "Vivian"}, 900, 0.25),
        ({"voice": "alloy"}, 900, 0.25),
        ({"voice": ...}, 900, 0.25),
        ({"voice": "default", "instructions": "A warm, deep voice"}, 550, 0.5),
        ({"voice": ..., "instructions": "A warm, deep voice"}, 550, 0.5),
        ({"model": "qwen3", "voice": "Ryan", "instructions": "Whisper."}, 350, 0.25),
        ({"model": DESIGN, "voice": "Sohee"}, 300, 0.25),
        ({"model": "tts-1", "voice": "Sohee"}, 900, 0.25),
    ],
)
def test_the_pitch_says_who_spoke(server: Running, fields: dict[str, Any], hz: int, level: float) -> None:
    response = speak(server, **{"model": SMALL, "response_format": "pcm", **fields})
    assert response.status_code == 200, response.text
    samples = np.frombuffer(response.content, "<i2") / 32768
    assert pitch(samples, 24_000) == pytest.approx(hz, abs=3)
    assert np.abs(samples).max() == pytest.approx(level, abs=0.01)
    assert "x-ignored-fields" not in response.headers


def test_the_small_size_leaves_instructions_for_a_speaker_out_and_says_so(server: Running) -> None:
    response = speak(server, model=SMALL, voice="Ryan", instructions="Whisper.", response_format="pcm")
    assert response.headers["x-ignored-fields"] == "instructions"
    assert pitch(np.frombuffer(response.content, "<i2") / 32768, 24_000) == pytest.approx(900, abs=3)


def heard(response: httpx.Response) -> float:
    assert response.status_code == 200, response.text
    return pitch(np.frombuffer(response.content, "<i2") / 32768, 24_000)


def test_the_readme_s_design_reaches_the_model_that_designs(server: Running) -> None:
    design = "A warm, deep male voice with a slight British accent"
    response = speak(server, "Good morning!", model=SMALL, voice="default", voice_design=design, response_format="pcm")
    assert heard(response) == pytest.approx(550, abs=3)


def test_a_design_styles_a_speaker_who_is_named(server: Running) -> None:
    response = speak(server, model="qwen3", voice="Serena", voice_design="Sad.", response_format="pcm")
    assert heard(response) == pytest.approx(350, abs=3)


def test_the_readme_s_clones_reach_the_model_that_clones(server: Running) -> None:
    reference = tone(2.0)
    form = {"input": "Hello, I sound like the reference!", "model": SMALL, "response_format": "pcm"}
    files = {"reference_audio": ("reference.wav", reference)}
    cloned = server.client.post("/v1/audio/speech/clone", data=form, files=files)
    assert heard(cloned) == pytest.approx(1100, abs=3)
    encoded = b64encode(reference).decode()
    response = speak(server, "Hello", model=SMALL, voice="default", reference_audio=encoded, response_format="pcm")
    assert heard(response) == pytest.approx(1100, abs=3)


def test_a_seed_reaches_the_model(server: Running) -> None:
    response = speak(server, model=SMALL, voice="Ryan", seed=7, response_format="pcm")
    assert heard(response) == pytest.approx(907, abs=3)
    assert "x-ignored-fields" not in response.headers


def test_the_tokenizer_speaks_nothing(server: Running) -> None:
    response = speak(server, model="qwen3-tts/Tokenizer-12Hz", voice=...)
    refused(response, 400, "feature_not_supported", param="model")


def test_a_sibling_that_is_not_here_and_may_not_be_fetched_is_named(start_server: StartServer) -> None:
    server = start_server(PLUGIN, {**ENVIRON, "FAMILY_ABSENT": DESIGN})
    said = refused(
        speak(server, model=SMALL, voice="default", instructions="A warm voice"), 400, "feature_not_supported"
    )
    assert SMALL in said
    assert f"open-speech models download {DESIGN}" in said
    assert speak(server, model=SMALL, voice="Ryan").status_code == 200
