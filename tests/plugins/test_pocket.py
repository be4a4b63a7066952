"""Pocket TTS: what it claims and fetches; and on tiny random weights, frames, voices, clones and their cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loopback_hub import serving
from open_speech_core.errors import Cancelled, InvalidAudio, LoadFailed, OpenSpeechError, VoiceNotFound, WeightsMissing
from open_speech_core.providers import Context
from open_speech_core.testing import check_plugin, check_synthesizer
from open_speech_core.types import Audio, Float32, LoadSpec, Model, Samples, SynthesizeRequest
from open_speech_pocket.languages import LANGUAGES, VOICES
from open_speech_pocket.provider import RATE, PocketOptions, PocketSynthesizer


def make(home: Path, **options: Any) -> PocketSynthesizer:
    return PocketSynthesizer(PocketOptions(**options), home)


def model_of(provider: PocketSynthesizer, id: str) -> Model:
    listed = {model.id: model for model in (*provider.models(), *provider.local())}
    return listed[id]


FRAME = 1920
"""80 ms."""


# what needs no torch


def test_the_plugin_keeps_the_laws() -> None:
    check_plugin("open_speech_pocket")


def test_seven_languages_and_their_voices(tmp_path: Path) -> None:
    provider = make(tmp_path)
    assert {model.id for model in provider.models()} == {
        "pocket-tts",
        *(f"pocket-tts/{name}" for name in ("french", "german", "spanish", "italian", "portuguese", "dutch")),
    }
    for model in provider.models():
        voices = provider.voices(model)
        assert len(voices) == len(VOICES) == 27
        assert {voice.language for voice in voices} == set(model.languages)
    assert provider.voices(model_of(provider, "pocket-tts/french"))[0].id == "estelle"
    eight = {"alba", "marius", "javert", "jean", "fantine", "cosette", "eponine", "azelma"}
    assert eight <= {voice.id for voice in provider.voices(model_of(provider, "pocket-tts"))}


@pytest.mark.parametrize("id", ["pocket-tts/klingon", "pocket-tts/", "pocket-tts/../x", "pocket-tts/a/b", "alba", ""])
def test_what_is_no_model_is_not_claimed(tmp_path: Path, id: str) -> None:
    assert make(tmp_path).resolve(id) is None


def test_a_folder_of_the_owner_is_a_model(tmp_path: Path) -> None:
    (tmp_path / "mine" / "embeddings").mkdir(parents=True)
    (tmp_path / "mine" / "config.yaml").write_text("{}")
    (tmp_path / "mine" / "embeddings" / "anne.wav").write_bytes(b"")
    provider = make(tmp_path)
    model = provider.resolve("pocket-tts/mine")
    assert model is not None
    assert list(provider.local()) == [model]
    assert [voice.id for voice in provider.voices(model)] == ["anne"]
    assert provider.artifacts(model).complete


def test_missing_weights_name_the_command(tmp_path: Path) -> None:
    provider = make(tmp_path)
    with pytest.raises(WeightsMissing, match="models download pocket-tts/dutch"):
        provider.load(LoadSpec(model=model_of(provider, "pocket-tts/dutch")))


@pytest.mark.parametrize(("token", "weights"), [("", "model.safetensors"), ("hf_x", "model-with-cloning.safetensors")])
def test_a_download_brings_weights_tokenizer_and_voices(tmp_path: Path, token: str, weights: str) -> None:
    pytest.importorskip("huggingface_hub")
    source = "languages/french"
    files = {f"{source}/embeddings/{voice}.safetensors": voice.encode() for voice in VOICES}
    files |= {f"{source}/model.safetensors": b"w" * 5000, f"{source}/tokenizer.json": b"{}"}
    code = """
import sys
from pathlib import Path
from open_speech_core.providers import Context
from open_speech_pocket.provider import PocketOptions, PocketSynthesizer
provider = PocketSynthesizer(PocketOptions(), Path(sys.argv[1]))
model = next(model for model in provider.models() if model.id == "pocket-tts/french")
assert not provider.artifacts(model).complete
provider.download(model, Context())
assert provider.artifacts(model).complete
assert "torch" not in sys.modules and "pocket_tts" not in sys.modules
"""
    with serving(files) as hub:
        environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_ENDPOINT": hub.url, "HF_TOKEN": token}
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "home")], env=environ, check=True, timeout=60)
        revisions = hub.revisions
    language = LANGUAGES["french"]
    assert revisions >= {language.tokenizer_revision, language.gated_revision if token else language.open_revision}
    found = {path.relative_to(tmp_path / "home").as_posix() for path in (tmp_path / "home").rglob("*.*")}
    assert {path for path in found if not path.startswith("french/embeddings/")} == {
        f"french/{weights}",
        "french/tokenizer.json",
    }
    assert len(found) == len(VOICES) + 2


# the real library on tiny random weights

torch_only = pytest.mark.torch


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay a tiny model where the plugin looks for the owner's."""
    pytest.importorskip("torch")
    pytest.importorskip("pocket_tts")
    from plugins import tiny_pocket

    home = tmp_path_factory.mktemp("pocket")
    tiny_pocket.write(home / "tiny")
    return home


@pytest.fixture(scope="module")
def engine(home: Path) -> Iterator[Any]:
    provider = make(home, voices_mb=1)
    loaded = provider.load(LoadSpec(model=model_of(provider, "pocket-tts/tiny")))
    yield loaded
    loaded.close()


def speak(engine: Any, text: str = "Hello world.", **fields: Any) -> list[Audio]:
    return list(engine.synthesize(SynthesizeRequest(text=text, **{"voice": "anne", **fields}), Context()))


def joined(items: list[Audio]) -> Float32:
    return np.concatenate([item.samples for item in items])


def reference(seed: int, seconds: float = 2.0) -> Samples:
    noise = np.random.default_rng(seed).normal(0, 0.05, round(seconds * RATE))
    return Samples(data=noise.astype("<f4").tobytes(), rate=RATE)


@torch_only
@pytest.mark.timeout(600)
def test_the_engine_keeps_the_laws(home: Path) -> None:
    provider = make(home)
    check_synthesizer(provider, model_of(provider, "pocket-tts/tiny"), calls=200)


@torch_only
def test_speech_comes_frame_by_frame(engine: Any) -> None:
    # As slow as a real model, so that a frame is heard before the next is there.
    slow = engine._model.flow_lm.register_forward_pre_hook(lambda *_: time.sleep(0.02))
    items = speak(engine, "Hello world this is a test of the speech server.")
    slow.remove()
    assert len(items) >= 2
    assert len(items[0].samples) < len(joined(items))
    assert all(len(item.samples) % FRAME == 0 for item in items), "whole frames, as many as were ready"
    assert {item.rate for item in items} == {RATE}
    assert max(len(item.samples) for item in items) <= RATE
    assert np.isfinite(joined(items)).all()


@torch_only
def test_a_seed_repeats_it(engine: Any) -> None:
    one, same = joined(speak(engine, seed=7)), joined(speak(engine, seed=7))
    assert len(one) == len(same)
    np.testing.assert_allclose(one, same, atol=1e-5)


def numbers(state: Any) -> Float32:
    """Give all numbers of a state in one row; what is not filled yet is NaN."""
    if isinstance(state, dict):
        return np.concatenate([numbers(each) for _, each in sorted(state.items())])
    return np.nan_to_num(state.float().numpy().reshape(-1))


@torch_only
def test_each_voice_and_each_clone_has_a_state_of_its_own(engine: Any) -> None:
    """What untrained layers make of a state can hardly be heard; that they are given another can be seen."""
    requests = [
        SynthesizeRequest(text="a", voice="anne"),
        SynthesizeRequest(text="a", voice="bert"),
        SynthesizeRequest(text="a", voice="anne", reference=reference(5, 3.0)),
        SynthesizeRequest(text="a", voice="anne", reference=reference(6, 3.0)),
    ]
    states = [numbers(engine._state(request)) for request in requests]
    for at, one in enumerate(states):
        assert one.any()
        for other in states[at + 1 :]:
            assert len(one) != len(other) or np.abs(one - other).max() > 1e-4


@torch_only
def test_a_clone_is_made_once_and_the_cache_is_bounded(engine: Any) -> None:
    engine.states.clear()
    before = engine.states.made
    speak(engine, reference=reference(1), seed=1)
    speak(engine, "Once more.", reference=reference(1), seed=1)
    assert engine.states.made == before + 1
    speak(engine, reference=reference(2), seed=1)
    assert engine.states.made == before + 2
    for number in range(3, 40):
        speak(engine, "a", reference=reference(number, 20.0), seed=1)
    assert engine.states.bytes <= 1_000_000
    assert len(engine.states) < 40


@torch_only
def test_a_caller_who_leaves_is_noticed_at_the_next_frame(engine: Any) -> None:
    context = Context()
    stream = engine.synthesize(SynthesizeRequest(text="Hello world. " * 20, voice="anne"), context)
    next(stream)
    context.cancel()
    with pytest.raises(Cancelled):
        next(stream)
    assert speak(engine), "it serves the next"


@torch_only
@pytest.mark.parametrize("voice", ["nobody", "", "../tiny/embeddings/anne", "anne.safetensors", "https://x.test/a.wav"])
def test_a_voice_it_has_not_is_refused(engine: Any, voice: str) -> None:
    with pytest.raises(VoiceNotFound):
        speak(engine, voice=voice)


@torch_only
@pytest.mark.parametrize(("samples", "said"), [(np.zeros(3 * RATE), "silent"), (np.ones(RATE // 2), "at least 1 s")])
def test_a_reference_that_says_nothing_is_refused(engine: Any, samples: Any, said: str) -> None:
    with pytest.raises(InvalidAudio, match=said):
        speak(engine, reference=Samples(data=samples.astype("<f4").tobytes(), rate=RATE))


@torch_only
@pytest.mark.parametrize(
    "config",
    ["[", "{}", json.dumps({"weights_path": "hf://kyutai/pocket-tts/x", "flow_lm": {"lookup_table": {}}})],
)
def test_a_configuration_nobody_can_use_is_said_so(tmp_path: Path, config: str) -> None:
    pytest.importorskip("pocket_tts")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "config.yaml").write_text(config)
    provider = make(tmp_path)
    with pytest.raises(LoadFailed, match="could not be loaded"):
        provider.load(LoadSpec(model=model_of(provider, "pocket-tts/bad")))


@torch_only
def test_another_device_is_refused(home: Path) -> None:
    provider = make(home)
    with pytest.raises(OpenSpeechError, match="runs on the CPU"):
        provider.load(LoadSpec(model=model_of(provider, "pocket-tts/tiny"), device="cuda"))
