"""Kokoro on torch: the real library with weights of chance."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech_core.errors import LoadFailed
from open_speech_core.providers import Context
from open_speech_core.runtimes.torch import import_torchaudio
from open_speech_core.testing import check_synthesizer
from open_speech_core.types import Audio, LoadSpec, SynthesizeRequest, Timing
from open_speech_kokoro.provider import KokoroOptions, KokoroSynthesizer
from plugins.kokoro_for_tests import TEXT, lay, make, model_of


@pytest.fixture(scope="module")
def chance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model of the real library, its weights random, and two voices."""
    torch = pytest.importorskip("torch")
    import_torchaudio()
    kokoro = pytest.importorskip("kokoro")
    folder = tmp_path_factory.mktemp("chance")
    published = Path(pytest.importorskip("kokoro_onnx").__file__).with_name("config.json")
    config = json.loads(published.read_text(encoding="utf-8"))
    config["plbert"] |= {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 64, "num_hidden_layers": 1}
    # An eighth of the samples, which are what takes long.
    config["istftnet"] |= {"upsample_rates": [4, 2], "upsample_kernel_sizes": [8, 4]}
    config["istftnet"] |= {"resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3, 5]]}
    config["n_layer"] = 1
    (folder / "config.json").write_text(json.dumps(config))
    torch.save({}, folder / "kokoro-v1_0.pth")
    torch.manual_seed(0)
    model = kokoro.KModel(repo_id="hexgrad/Kokoro-82M", config=config, model=str(folder / "kokoro-v1_0.pth"))
    # Two or three frames a phoneme, as a trained model has.
    torch.nn.init.constant_(model.predictor.duration_proj.linear_layer.bias, -3.0)
    parts = ("bert", "bert_encoder", "predictor", "text_encoder", "decoder")
    torch.save({part: getattr(model, part).state_dict() for part in parts}, folder / "kokoro-v1_0.pth")
    (folder / "voices").mkdir()
    torch.save(0.1 * torch.randn(510, 1, 256), folder / "voices" / "af_heart.pt")
    torch.save(0.1 * torch.randn(510, 1, 256), folder / "voices" / "bf_emma.pt")
    return folder


def on_torch(chance: Path, **options: Any) -> Any:
    return make(chance, runtime="torch", g2p="espeak", **options).load(LoadSpec(model=model_of(), threads=2))


@pytest.mark.torch
def test_torch_speaks_with_words_and_a_seed_holds_it_still(chance: Path) -> None:
    engine = on_torch(chance)
    engine.warm_up()
    assert (engine.device, engine.compute_type) == ("cpu", "float32")
    request = SynthesizeRequest(text=TEXT, voice="af_heart+bf_emma", seed=7)
    first, second = (list(engine.synthesize(request, Context())) for _ in range(2))
    assert [item.word for item in first if isinstance(item, Timing)] == TEXT.split()
    samples, again = (
        np.concatenate([item.samples for item in items if isinstance(item, Audio)]) for items in (first, second)
    )
    assert np.array_equal(samples, again)
    assert len(samples) > 3_000


@pytest.mark.torch
def test_torch_sounds_like_the_librarys_pipeline(chance: Path) -> None:
    import torch
    from kokoro import KModel, KPipeline

    from open_speech_kokoro.packs import Packs
    from open_speech_kokoro.torch_runtime import load_torch

    spec = LoadSpec(model=model_of(), threads=2)
    runtime = load_torch((chance / "kokoro-v1_0.pth", chance / "config.json"), spec)
    model = KModel(
        repo_id="hexgrad/Kokoro-82M", config=str(chance / "config.json"), model=str(chance / "kokoro-v1_0.pth")
    ).eval()
    pipeline = KPipeline("e", repo_id="hexgrad/Kokoro-82M", model=model)
    phonemes = "ðə kwˈɪk bɹˈaʊn fˈɑːks."
    torch.manual_seed(3)
    (expected,) = pipeline.generate_from_tokens(phonemes, str(chance / "voices" / "af_heart.pt"), speed=1.1)
    pack = Packs([chance]).mix((("af_heart", 1.0),))
    found = runtime.render([runtime.vocab[phoneme] for phoneme in phonemes], pack, 1.1, Context(), seed=3)
    np.testing.assert_allclose(found.samples, expected.audio.numpy(), atol=1e-5)
    assert np.array_equal(found.durations, expected.pred_dur.numpy())
    assert len(found.durations) == len(phonemes) + 2


@pytest.mark.torch
def test_the_engine_on_torch_keeps_the_laws(chance: Path, alone: Path) -> None:
    provider = KokoroSynthesizer(KokoroOptions(runtime="torch", g2p="espeak"), chance)
    spec = LoadSpec(model=model_of(provider), threads=2)
    check_synthesizer(provider, spec.model, spec=spec, text="One sentence. And here is another one.", calls=120)


@pytest.mark.torch
def test_torch_weights_are_found_where_there_are_no_others(chance: Path, alone: Path) -> None:
    provider = make(alone, model_dir=str(chance))
    assert provider.artifacts(model_of()).complete
    assert not make(alone, model_dir=str(chance), runtime="onnx").artifacts(model_of()).complete
    assert provider.load(LoadSpec(model=model_of())).compute_type == "float32"


@pytest.mark.torch
def test_torch_weights_that_are_none_are_said_so(chance: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(chance, broken)
    (broken / "kokoro-v1_0.pth").write_bytes(b"weights")
    with pytest.raises(LoadFailed, match="are its files whole") as caught:
        on_torch(broken)
    assert str(broken) not in caught.value.message


@pytest.mark.torch
def test_what_is_spoken_is_not_logged(chance: Path, capfd: pytest.CaptureFixture[str]) -> None:
    engine = on_torch(chance)
    list(engine.synthesize(SynthesizeRequest(text="Hello.", voice="af_heart"), Context()))
    assert "həlˈoʊ" not in "".join(capfd.readouterr())


def test_torch_weights_without_its_package_name_the_way(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(alone, af_heart=0.0)
    for name in ("kokoro-v1_0.pth", "config.json"):
        (alone / name).write_bytes(b"{}")
    monkeypatch.setattr("open_speech_kokoro.provider.find_spec", lambda name: None)
    with pytest.raises(LoadFailed, match=r"install open-speech-kokoro\[torch\]"):
        make(alone, runtime="torch").load(LoadSpec(model=model_of()))
