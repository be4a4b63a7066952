"""A voice from a recording, by form and by JSON: the recording arrives whole, and what is wrong is named."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import httpx
import numpy as np
import pytest

from api.calling import SPEECH, checked, decoded, pitch, refused, speak, tone, wav
from api.serving import ECHO, Running

CLONE = f"{SPEECH}/clone"
PLUGINS = (*ECHO, "api.plugins_for_tests.cloning")
RECORDING = tone(2.0, rate=22_050)
"""440 Hz; the model's rate is another."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    running = Running(tmp_path_factory.mktemp("cloning"), PLUGINS, {"OS_MAX_UPLOAD_MB": "1"})
    yield running
    running.await_quiet()
    running.stop()


def clone(server: Running, file: bytes | None = RECORDING, query: str = "", **fields: Any) -> httpx.Response:
    sent = {"model": "parrot", "input": "Hello there.", "response_format": "wav", **fields}
    files = {} if file is None else {"reference_audio": ("voice.bin", file)}
    data = {name: value for name, value in sent.items() if value is not ...}
    return checked(server.client.post(CLONE + query, data=data, files=files or {"none": ("", b"")}))


def as_json(server: Running, reference: str | None, query: str = "", **fields: Any) -> httpx.Response:
    fields = {"voice": "own", "response_format": "wav", "reference_audio": reference, **fields}
    return speak(server, query=query, **{"model": "parrot", **fields})


def assert_is_the_recording(response: httpx.Response) -> None:
    assert response.status_code == 200, response.text
    samples, rate = decoded(response.content)
    assert pitch(samples, rate) == pytest.approx(440, abs=3)
    assert len(samples) / rate == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize("query", ["", "?stream=false"])
def test_the_recording_reaches_the_engine(server: Running, query: str) -> None:
    assert_is_the_recording(clone(server, query=query))
    encoded = b64encode(RECORDING).decode()
    assert_is_the_recording(as_json(server, encoded, query))
    assert_is_the_recording(as_json(server, f"data:audio/wav;base64,{encoded}", query))


def test_any_format_is_decoded(server: Running) -> None:
    spoken = speak(server, "x" * 25, response_format="mp3").content
    samples, rate = decoded(clone(server, spoken).content)
    assert pitch(samples, rate) == pytest.approx(440, abs=3)


def test_events_and_pieces(server: Running) -> None:
    answer = clone(server, stream_format="sse", response_format="pcm", input="One sentence. " * 3)
    assert answer.text.count("speech.audio.delta") >= 2
    assert answer.text.rstrip().endswith("[DONE]")


def test_form_fields_are_those_of_the_json(server: Running) -> None:
    message = refused(clone(server, transcript="raise"), 400, "feature_not_supported", "clone_transcript")
    assert message == "said so"
    for fields, param in (
        ({"input": " "}, "input"),
        ({"input": ...}, "input"),
        ({"input": "x" * 5000}, "input"),
        ({"speed": "9"}, "speed"),
        ({"speed": "fast"}, "speed"),
        ({"response_format": "gif"}, "response_format"),
        ({"effects": "loud"}, "effects"),
        ({"effects": '[{"type": "none"}]'}, "effects[0].type"),
    ):
        refused(clone(server, **fields), 400, "invalid_request", param)
    refused(clone(server, model="zzz"), 404, "model_not_found", "model")


def test_without_a_recording_nothing_is_cloned(server: Running) -> None:
    refused(clone(server, None), 400, "invalid_request", "reference_audio")
    empty = {"reference_audio": ("", b"")}
    fields = {"model": "parrot", "input": "Hello there."}
    refused(server.client.post(CLONE, data=fields, files=empty), 400, "invalid_request", "reference_audio")
    assert "text" in refused(clone(server, None, reference_audio="UklGRg=="), 400, "invalid_request", "reference_audio")


@pytest.mark.parametrize("file", [b"", b"no sound" * 100, wav(b""), tone(0.3)], ids=["empty", "text", "none", "short"])
def test_a_recording_nobody_can_use(server: Running, file: bytes) -> None:
    response = clone(server, file)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "reference_audio"
    if file:
        response = as_json(server, b64encode(file).decode())
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "reference_audio"


@pytest.mark.parametrize(
    "text", ["not base64!", "data:audio/wav,plain", "data:;base64,", "https://x.test/a.wav", "AAA"]
)
def test_a_reference_that_is_no_base64(server: Running, text: str) -> None:
    refused(as_json(server, text), 400, "invalid_request", "reference_audio")


def test_what_is_too_large_is_413(server: Running) -> None:
    large = tone(40.0)
    refused(clone(server, large), 413, "upload_too_large", "reference_audio")
    refused(as_json(server, b64encode(large).decode()), 413, "upload_too_large", "reference_audio")


def test_a_model_that_cannot_clone(server: Running) -> None:
    """The route is for cloning, so it refuses; the field of a speech request is ignored, and said so."""
    refused(clone(server, model="echo-voice"), 400, "feature_not_supported", "model")
    encoded = b64encode(RECORDING).decode()
    response = as_json(server, encoded, model="echo-voice", voice="sine", clone_transcript="hello")
    assert response.status_code == 200
    assert set(response.headers["x-ignored-fields"].split(", ")) == {"reference_audio", "clone_transcript"}


def test_a_design_and_a_seed_reach_those_who_can(server: Running) -> None:
    response = speak(server, "x", model="parrot", voice="own", seed=3, voice_design="old", response_format="wav")
    assert "x-ignored-fields" not in response.headers
    samples, rate = decoded(response.content)
    assert len(samples) / rate == pytest.approx(0.3, abs=0.01)
    assert np.abs(samples).max() == pytest.approx(0.25, abs=0.1)


def test_an_openai_voice_name_is_no_hindrance(server: Running) -> None:
    assert_is_the_recording(clone(server, voice="alloy"))
