"""Qwen3-TTS as the server sees it: ids, voices, who serves what, weights. Needs no torch."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopback_hub import serving
from open_speech_core.errors import LoadFailed, VoiceNotFound, WeightsMissing
from open_speech_core.options import from_environment
from open_speech_core.plugins import discover
from open_speech_core.registry import Registry, build_registry
from open_speech_core.remote import Environment, read_environments, write_environment
from open_speech_core.testing import check_plugin
from open_speech_core.types import LoadSpec, Model
from open_speech_core.worker.engines import describe
from open_speech_qwen.family import MODELS, RATE, SPEAKERS, TOKENIZER, repository
from open_speech_qwen.prompts import Prompts
from open_speech_qwen.provider import FILES, REQUIRED, TOKENIZER_FILES, QwenOptions, QwenSynthesizer
from open_speech_qwen.sentences import MOST, plain, sentences
from open_speech_qwen.tempo import change_tempo

LARGE, SMALL = "qwen3-tts/1.7B-CustomVoice", "qwen3-tts/0.6B-CustomVoice"
DESIGN = "qwen3-tts/1.7B-VoiceDesign"
FAMILY = [model.id for model in MODELS if not model.helper]


def make(home: Path, **options: Any) -> QwenSynthesizer:
    return QwenSynthesizer(QwenOptions(**options), home)


def model_of(id: str) -> Model:
    model = make(Path("nowhere")).resolve(id)
    assert model is not None
    return model


def here(folder: Path, environ: dict[str, str] | None = None) -> Registry:
    """Register the plugin as part of the server's environment."""
    return build_registry(discover(["open_speech_qwen"]), environ=environ or {}, data_dir=folder)


def apart(folder: Path, environ: dict[str, str] | None = None) -> Registry:
    """Register the plugin as one that was installed in an environment of its own."""
    own = folder / "providers" / "qwen3-1"
    own.mkdir(parents=True)
    descriptions = tuple(describe("open_speech_qwen", str(folder / "models")))
    write_environment(own, Environment(interpreter=sys.executable, descriptions=descriptions))
    found = list(read_environments(folder / "providers", folder / "models", environ or {}))
    return Registry(providers=[(record, remote) for record, remote in found if remote is not None])


@pytest.fixture(params=[here, apart])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Registry:
    made: Registry = request.param(tmp_path)
    return made


# ids


def test_the_plugin_keeps_the_laws() -> None:
    check_plugin("open_speech_qwen")


def test_asking_imports_no_model_library(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import open_speech_qwen as plugin\n"
        "cls = plugin.open_speech_register_synthesizers()[0]\n"
        f"made = cls(cls.Options(), Path({str(tmp_path)!r}))\n"
        "for model in made.models():\n"
        "    made.voices(model); assert not made.artifacts(model).complete\n"
        "bad = {'numpy', 'torch', 'transformers', 'qwen_tts', 'huggingface_hub'}\n"
        "assert not bad & set(sys.modules), bad & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_the_published_ids_resolve(registry: Registry) -> None:
    ids = {f"qwen3-tts/{size}-{variant}" for size, variant in product(("1.7B", "0.6B"), ("CustomVoice", "Base"))}
    for id in {*ids, DESIGN, TOKENIZER}:
        assert registry.resolve("synthesizer", id).id == id


@pytest.mark.parametrize("make_registry", [here, apart])
@pytest.mark.parametrize("size", ["1.7B", "0.6B", None])
def test_names_without_a_size_mean_the_configured_one(make_registry: Any, size: str | None, tmp_path: Path) -> None:
    registry = make_registry(tmp_path, {"TTS_QWEN3_SIZE": size} if size else {})
    expected = f"qwen3-tts/{size or '1.7B'}-CustomVoice"
    assert registry.resolve("synthesizer", "qwen3").id == expected
    assert registry.resolve("synthesizer", "qwen3-tts").id == expected
    assert registry.resolve("synthesizer", "qwen3-tts-0.6b").id == SMALL
    assert registry.resolve("synthesizer", "qwen3-tts-1.7b").id == LARGE


def test_repositories_names_are_claimed(tmp_path: Path) -> None:
    for model in MODELS:
        assert here(tmp_path).resolve("synthesizer", repository(model.id)).id == model.id
    assert make(tmp_path).resolve("Qwen/Qwen3-TTS-12Hz-0.6B-VoiceDesign") is None


def test_the_tokenizer_is_never_the_default(tmp_path: Path) -> None:
    lay(make(tmp_path / "models" / "qwen3"), TOKENIZER)
    registry = here(tmp_path)
    assert registry.on_disk(registry.resolve("synthesizer", TOKENIZER))
    assert registry.default("synthesizer", None).id == LARGE
    with pytest.raises(LoadFailed, match="part of other models"):
        make(tmp_path).load(LoadSpec(model=model_of(TOKENIZER)))


def test_options_come_from_their_documented_variables() -> None:
    problems: list[Any] = []
    environ = {"TTS_QWEN3_SIZE": "0.6B", "TTS_QWEN3_FLASH_ATTN": "true", "TTS_QWEN3_DEVICE": "cuda:1"}
    options = from_environment(QwenOptions, QwenSynthesizer.info.env_prefix, environ, problems)
    assert (options.size, options.flash_attn, options.device, problems) == ("0.6B", True, "cuda:1", [])
    bad = {"TTS_QWEN3_SIZE": "7B", "TTS_QWEN3_DEVICE": "tpu", "TTS_QWEN3_CLONE_PROMPTS": "0"}
    from_environment(QwenOptions, QwenSynthesizer.info.env_prefix, bad, problems)
    assert {problem.variable for problem in problems} == set(bad)


# voices


def test_every_model_of_the_family_lists_nine_speakers(registry: Registry) -> None:
    genders = {"female": {"Vivian", "Serena", "Ono_Anna", "Sohee"}, "male": {"Uncle_Fu", "Dylan", "Eric"}}
    genders["male"] |= {"Ryan", "Aiden"}
    languages = {"zh": {"Vivian", "Serena", "Uncle_Fu", "Dylan", "Eric"}, "en": {"Ryan", "Aiden"}}
    languages |= {"ja": {"Ono_Anna"}, "ko": {"Sohee"}}
    for id in FAMILY:
        voices = registry.voices(registry.resolve("synthesizer", id))
        assert len(voices) == 9
        for gender, names in genders.items():
            assert {voice.id for voice in voices if voice.gender == gender} == names
        for language, names in languages.items():
            assert {voice.id for voice in voices if voice.language == language} == names
    assert registry.voices(registry.resolve("synthesizer", TOKENIZER)) == ()


@pytest.mark.parametrize(
    ("asked", "spoken"), [("alloy", "Ryan"), ("echo", "Aiden"), ("nova", "Vivian"), ("shimmer", "Serena")]
)
def test_openai_s_voices_are_spoken_by_speakers(asked: str, spoken: str, registry: Registry) -> None:
    assert registry.voice(registry.resolve("synthesizer", LARGE), asked) == spoken


# who serves what


@pytest.mark.parametrize("id", FAMILY)
@pytest.mark.parametrize(
    ("voice", "designed", "cloned", "variant", "spoken"),
    [
        ("Vivian", False, False, "CustomVoice", "Vivian"),
        ("Vivian", True, False, "CustomVoice", "Vivian"),
        ("alloy", True, False, "CustomVoice", "Ryan"),
        (None, False, False, "CustomVoice", "Ryan"),
        ("default", False, False, "CustomVoice", "Ryan"),
        (None, True, False, "VoiceDesign", ""),
        ("default", True, False, "VoiceDesign", ""),
        (None, False, True, "Base", ""),
        ("default", True, True, "Base", ""),
        ("Vivian", True, True, "Base", ""),
    ],
)
def test_a_request_goes_to_the_variant_that_serves_it(
    id: str, voice: str | None, designed: bool, cloned: bool, variant: str, spoken: str, registry: Registry
) -> None:
    asked = registry.resolve("synthesizer", id)
    found = registry.serving(asked, voice, designed=designed, cloned=cloned)
    size = "1.7B" if variant == "VoiceDesign" else id.removeprefix("qwen3-tts/").partition("-")[0]
    assert (found[0].id, found[1]) == (f"qwen3-tts/{size}-{variant}", spoken)


def test_the_configured_voice_is_spoken_where_none_is_named(registry: Registry) -> None:
    asked = registry.resolve("synthesizer", SMALL)
    assert registry.serving(asked, None, "Sohee")[1] == "Sohee"
    assert registry.serving(asked, None, "af_heart")[1] == "Ryan"
    assert registry.serving(asked, None, "Sohee", designed=True)[0].id == DESIGN


@pytest.mark.parametrize("id", FAMILY)
def test_a_voice_nobody_has_is_refused(id: str, registry: Registry) -> None:
    with pytest.raises(VoiceNotFound, match="no voice 'Nobody'"):
        registry.serving(registry.resolve("synthesizer", id), "Nobody", designed=True)


def test_only_the_large_size_takes_instructions() -> None:
    assert {model.id for model in MODELS if model.instructions} == {LARGE, DESIGN}


# weights


def lay(provider: QwenSynthesizer, id: str, content: bytes = b"x") -> Path:
    folder = provider.home / repository(id).replace("/", "--")
    for file in TOKENIZER_FILES if id == TOKENIZER else REQUIRED:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
    return folder


def test_weights_are_found_in_the_home_and_in_the_hub_s_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    provider = make(tmp_path / "home")
    folder = lay(provider, SMALL)
    assert provider.artifacts(model_of(SMALL)).paths == (str(folder),)
    assert provider.artifacts(model_of(SMALL)).complete
    assert not provider.artifacts(model_of(LARGE)).complete
    snapshot = tmp_path / "cache" / "models--Qwen--Qwen3-TTS-12Hz-1.7B-CustomVoice" / "snapshots" / "abc"
    snapshot.parent.mkdir(parents=True)
    folder.rename(snapshot)
    assert not provider.artifacts(model_of(SMALL)).complete
    assert provider.artifacts(model_of(LARGE)).paths == (str(snapshot),)


@pytest.mark.parametrize("lacking", REQUIRED)
def test_a_folder_that_lacks_a_file_is_not_complete(lacking: str, tmp_path: Path) -> None:
    provider = make(tmp_path)
    (lay(provider, LARGE) / lacking).unlink()
    assert not provider.artifacts(model_of(LARGE)).complete
    with pytest.raises(WeightsMissing, match=r"open-speech models download qwen3-tts/1\.7B-CustomVoice"):
        provider.load(LoadSpec(model=model_of(LARGE)))


def test_a_missing_library_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    pytest.importorskip("open_speech_qwen")
    if any(Path(folder, "qwen_tts").is_dir() for folder in sys.path):
        pytest.skip("the library is here")
    provider = make(tmp_path)
    lay(provider, LARGE)
    with pytest.raises(LoadFailed, match="open-speech providers install qwen3"):
        provider.load(LoadSpec(model=model_of(LARGE)))


DOWNLOAD = """
import sys
from pathlib import Path
from open_speech_core.providers import Context
from open_speech_qwen.provider import QwenOptions, QwenSynthesizer
provider = QwenSynthesizer(QwenOptions(), Path(sys.argv[1]))
provider.download(provider.resolve(sys.argv[2]), Context())
"""


def download(url: str, home: Path, id: str) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    own = {"HF_ENDPOINT": url, "HF_HUB_CACHE": str(home / "cache"), "HF_HUB_DISABLE_XET": "1"}
    subprocess.run([sys.executable, "-c", DOWNLOAD, str(home), id], env=environ | own, check=True, timeout=60)


def test_a_download_is_whole_and_takes_the_tokenizer_from_a_sibling(tmp_path: Path) -> None:
    files = {file: file.encode() * 300 for file in FILES}
    provider = make(tmp_path)
    with serving(files) as hub:
        download(hub.url, tmp_path, LARGE)
        assert any("speech_tokenizer/model.safetensors" in path for path, _ in hub.gets)
        hub.gets.clear()
        assert hub.revisions == {model_of(LARGE).revision}
        hub.revisions.clear()
        download(hub.url, tmp_path, DESIGN)
        assert hub.revisions == {model_of(DESIGN).revision} != {model_of(LARGE).revision}
        assert any("model.safetensors" in path for path, _ in hub.gets)
        assert not any("speech_tokenizer/model.safetensors" in path for path, _ in hub.gets)
    first, second = (Path(provider.artifacts(model_of(id)).paths[0]) for id in (LARGE, DESIGN))
    shared = "speech_tokenizer/model.safetensors"
    assert (first / shared).samefile(second / shared)
    assert {name: (second / name).read_bytes() for name in files} == files


def test_a_tokenizer_that_is_another_is_fetched_and_the_sibling_s_stays(tmp_path: Path) -> None:
    provider = make(tmp_path)
    other = lay(provider, LARGE, b"another") / "speech_tokenizer/model.safetensors"
    files = {file: file.encode() * 300 for file in FILES}
    with serving(files) as hub:
        download(hub.url, tmp_path, DESIGN)
    folder = Path(provider.artifacts(model_of(DESIGN)).paths[0])
    assert {name: (folder / name).read_bytes() for name in files} == files
    assert other.read_bytes() == b"another"


# references and texts


def test_a_reference_is_heard_once_and_the_least_used_goes_first() -> None:
    made: list[str] = []

    def hear(name: str) -> str:
        return prompts.of(name.encode(), "", lambda: made.append(name) or name)  # type: ignore[func-returns-value]

    prompts: Prompts[str] = Prompts(2)
    assert [hear(name) for name in "aabacab"] == list("aabacab")
    assert made == ["a", "b", "c", "b"]
    assert len(prompts) == 2


def test_the_transcript_belongs_to_the_reference() -> None:
    prompts: Prompts[int] = Prompts(9)
    found = [prompts.of(samples, text, object) for samples, text in [(b"a", ""), (b"a", "x"), (b"b", "")]]  # type: ignore[arg-type]
    assert len(set(map(id, found))) == 3


def test_what_cannot_be_heard_is_not_kept() -> None:
    prompts: Prompts[int] = Prompts(2)
    with pytest.raises(ZeroDivisionError):
        prompts.of(b"a", "", lambda: 1 // 0)
    assert prompts.of(b"a", "", lambda: 7) == 7


def test_sentences_are_spoken_one_by_one() -> None:
    assert list(sentences("One. Two! 三。四。five\nsix")) == ["One.", "Two!", "三。", "四。", "five", "six"]
    assert list(sentences(" ... 😀 \n --")) == []


@given(st.text(max_size=2000))
def test_pieces_are_short_and_lose_nothing_that_is_spoken(text: str) -> None:
    pieces = list(sentences(text))
    assert all(0 < len(piece) <= MOST for piece in pieces)
    assert all(any(character.isalnum() for character in piece) for piece in pieces)


@given(st.lists(st.sampled_from(["<|", "|>", "im_end", "im_start", "<tts_pad>", "<", ">", "|", "a"]), max_size=30))
def test_no_mark_of_the_model_comes_from_a_text(parts: list[str]) -> None:
    found = plain("".join(parts))
    assert not any(mark in found for mark in ("<|im_end|>", "<|im_start|>", "<tts_pad>"))


def test_words_of_a_text_stay() -> None:
    assert plain("a < b | c > d <b>e</b>") == "a < b | c > d <b>e</b>"
    assert "".join(sentences("word " * 200)).count("word") == 200


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.8, 1.0, 1.5, 2.0, 4.0])
def test_another_tempo_has_the_same_pitch(speed: float) -> None:
    tone = (0.3 * np.sin(2 * np.pi * 220 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    changed = change_tempo(tone, RATE, speed)
    assert changed.dtype == np.float32
    assert len(changed) == pytest.approx(len(tone) / speed, rel=0.03)
    spectrum = np.abs(np.fft.rfft(changed * np.hanning(len(changed))))
    assert spectrum.argmax() * RATE / len(changed) == pytest.approx(220, abs=3)
    assert np.abs(changed).max() == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("length", [0, 1, 200])
def test_what_is_too_short_to_be_stretched_stays(length: int) -> None:
    assert len(change_tempo(np.ones(length, np.float32), RATE, 2.0)) == length


def test_the_speakers_are_those_of_the_readme() -> None:
    readme = (Path(__file__).parents[2] / "plugins" / "qwen" / "README.md").read_text()
    for speaker in SPEAKERS:
        assert f"`{speaker.id}`" in readme
