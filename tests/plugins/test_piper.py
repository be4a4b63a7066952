"""Piper speaks: the right voice, at its own rate, as loud as the library, in bounded memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech_core.errors import Cancelled, LoadFailed, OpenSpeechError, VoiceNotFound, WeightsMissing
from open_speech_core.options import from_environment
from open_speech_core.providers import Context
from open_speech_core.testing import Case, check_plugin
from open_speech_core.types import (
    Audio,
    Float32,
    Kind,
    LoadSpec,
    Model,
    ModelSource,
    Samples,
    SynthesizeRequest,
    Timing,
    TranscribeRequest,
)
from open_speech_piper.provider import PiperOptions, PiperRequestOptions, PiperSynthesizer
from open_speech_piper.voices import LISTED, parse_voice_id
from plugins.bench import Bench, joined, left_within, starter_cases, wire

pytest.importorskip("piper")
from open_speech_piper.engine import PIECE_PHONEMES, PiperEngine, split_phonemes
from open_speech_piper.words import word_spans

JOE = "en_US-joe-medium"
TEXT = "The quick brown fox jumps over the lazy dog."

Source = Callable[[Kind], ModelSource]


def make(home: Path, **options: Any) -> PiperSynthesizer:
    return PiperSynthesizer(PiperOptions(**options), home)


def model_of(id: str = JOE) -> Model:
    model = make(Path("nowhere")).resolve(id)
    assert model is not None
    return model


def lay(home: Path, voice: str, rate: int, **config: Any) -> None:
    (home / f"{voice}.onnx").write_bytes(b"weights")
    (home / f"{voice}.onnx.json").write_text(json.dumps({"audio": {"sample_rate": rate}, **config}))


# what the provider says


def test_the_plugin_keeps_the_laws() -> None:
    check_plugin("open_speech_piper")


def test_asking_imports_no_model_library(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import open_speech_piper as plugin\n"
        "cls = plugin.open_speech_register_synthesizers()[0]\n"
        f"made = cls(cls.Options(), Path({str(tmp_path)!r}))\n"
        "for model in made.models():\n"
        "    assert made.voices(model) and not made.artifacts(model).complete\n"
        "assert made.resolve('de_DE-thorsten-high')\n"
        "bad = {'numpy', 'piper', 'onnxruntime', 'huggingface_hub'}\n"
        "assert not bad & set(sys.modules), bad & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_listed_voices_are_well_formed_and_name_their_files() -> None:
    assert len(set(LISTED)) == len(LISTED) == len(make(Path("nowhere")).models())
    voice = parse_voice_id("piper/en_GB-southern_english_female-low")
    assert voice is not None
    assert voice.repo_path == ("en/en_GB/southern_english_female/low/en_GB-southern_english_female-low.onnx")
    assert {"en_US-amy-high", "en_GB-southern_english_female-medium"}.isdisjoint(LISTED)


def test_the_collections_list_adds_its_voices_and_their_sizes(tmp_path: Path) -> None:
    weights = "xx/xx_YY/new/low/xx_YY-new-low.onnx"
    files = {weights: {"size_bytes": 123, "md5_digest": ""}, f"{weights}.json": {"size_bytes": 4}}
    (tmp_path / "voices.json").write_text(json.dumps({"xx_YY-new-low": {"quality": "low", "files": files}}))
    found = {model.id: model for model in make(tmp_path).models()}
    assert len(found) == len(LISTED) + 1
    assert found["piper/xx_YY-new-low"].bytes == 123


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"a": 3}', b"\xff"])
def test_a_list_nobody_can_read_is_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "voices.json").write_bytes(content)
    assert len(make(tmp_path).models()) == len(LISTED)


def test_the_owners_own_voices_are_found(tmp_path: Path) -> None:
    lay(tmp_path, "de_AT-mine-medium", 22_050)
    lay(tmp_path, JOE, 22_050)
    (tmp_path / "de_AT-half-medium.onnx").write_bytes(b"no config")
    (tmp_path / "noise.onnx").write_bytes(b"no voice")
    (mine,) = make(tmp_path).local()
    assert mine.id == "piper/de_AT-mine-medium"
    assert make(tmp_path).artifacts(mine).complete


@pytest.mark.parametrize(
    ("id", "rate", "tag"),
    [
        ("piper/en_US-joe-medium", 22_050, "en-us"),
        ("pt_PT-tugão-medium", 22_050, "pt-pt"),
        ("kk_KZ-raya-x_low", 16_000, "kk-kz"),
        ("piper/nl_NL-mls_5809-low", 16_000, "nl-nl"),
    ],
)
def test_any_well_formed_voice_is_claimed(id: str, rate: int, tag: str) -> None:
    provider = make(Path("nowhere"))
    model = provider.resolve(id)
    assert model is not None
    assert model.id == f"piper/{id.removeprefix('piper/')}"
    assert (model.rate, model.kind) == (rate, "synthesizer")
    (voice,) = provider.voices(model)
    assert (voice.id, voice.language) == (id.removeprefix("piper/"), tag)
    provider.check_voice(model, voice.id)
    with pytest.raises(VoiceNotFound):
        provider.check_voice(model, "af_heart")


@pytest.mark.parametrize(
    "id",
    [
        "",
        "piper",
        "joe",
        "en_US-joe",
        "en_US-joe-best",
        "en-joe-medium",
        "EN_us-joe-medium",
        "piper/piper/a-b-low",
        "en_US-../x-medium",
        "en_US-a/b-medium",
        "en_US-joe-medium\n",
        f"en_US-{'x' * 200}-medium",
    ],
)
def test_what_is_no_voice_is_not_claimed(id: str) -> None:
    assert make(Path("nowhere")).resolve(id) is None


def test_a_config_on_disk_tells_the_rate_and_the_speakers(tmp_path: Path) -> None:
    lay(tmp_path, "en_US-arctic-medium", 24_000, num_speakers=3, speaker_id_map={"awb": 0, "slt": 2, "rms": 1})
    provider = make(tmp_path)
    model = next(model for model in provider.models() if "arctic" in model.id)
    assert model.rate == 24_000
    assert [voice.id.partition("/")[2] for voice in provider.voices(model)] == ["", "awb", "rms", "slt"]
    provider.check_voice(model, "en_US-arctic-medium/slt")
    assert provider.artifacts(model).complete
    (tmp_path / "en_US-arctic-medium.onnx.json").write_text("{")
    assert provider.resolve(model.id) == model_of("en_US-arctic-medium")


def test_settings_come_from_their_variables() -> None:
    problems: list[Any] = []
    environ = {"PIPER_NOISE_SCALE": "0.3", "PIPER_NOISE_W_SCALE": "9"}
    assert from_environment(PiperOptions, "PIPER_", environ, problems) == PiperOptions(noise_scale=0.3)
    assert [problem.variable for problem in problems] == ["PIPER_NOISE_W_SCALE"]


def test_missing_weights_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="open-speech models download piper/en_US-joe-medium") as caught:
        make(tmp_path).load(LoadSpec(model=model_of()))
    assert str(tmp_path) not in caught.value.message


def test_files_that_are_no_voice_are_said_so(tmp_path: Path) -> None:
    lay(tmp_path, JOE, 22_050)
    with pytest.raises(LoadFailed, match="are its files whole") as caught:
        make(tmp_path).load(LoadSpec(model=model_of()))
    assert str(tmp_path) not in caught.value.message


# laws of its parts


@given(phonemes=st.lists(st.sampled_from("abc ,;"), max_size=400), most=st.integers(2, 60))
def test_a_long_sentence_is_cut_and_nothing_is_lost(phonemes: list[str], most: int) -> None:
    pieces = list(split_phonemes(phonemes, most))
    assert [phoneme for piece in pieces for phoneme in piece] == phonemes
    assert all(len(piece) <= most for piece in pieces)


def test_a_sentence_is_cut_at_a_pause_else_between_words() -> None:
    words = list("one two three, four five six seven")
    assert ["".join(piece) for piece in split_phonemes(words, 22)] == [
        "one two three, ",
        "four five six seven",
    ]
    assert "".join(next(split_phonemes(words, 12))) == "one two "


# a real voice


@pytest.fixture(scope="module")
def engine(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PiperEngine]:
    made = make(tmp_path_factory.mktemp("home"))
    loaded = made.load(LoadSpec(model=model_of(), path=source("synthesizer").path))
    yield loaded  # type: ignore[misc]
    loaded.close()


def spoken(engine: PiperEngine, text: str, **fields: Any) -> list[Audio | Timing]:
    return list(engine.synthesize(SynthesizeRequest(text=text, voice=JOE, **fields), Context()))


def speak(engine: PiperEngine, text: str, **fields: Any) -> list[Audio]:
    items = spoken(engine, text, **fields)
    found = [item for item in items if isinstance(item, Audio)]
    assert len(found) == len(items), "no times without alignments"
    return found


def sound(engine: PiperEngine, text: str, **fields: Any) -> Float32:
    return np.concatenate([audio.samples for audio in speak(engine, text, **fields)])


STILL = PiperRequestOptions(noise_scale=0.0, noise_w_scale=0.0)
"""Without noise the same text gives the same samples."""


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", starter_cases("open_speech_piper"))
def test_the_engine_keeps_the_laws(case: Case) -> None:
    case.check()


@pytest.mark.model
def test_speech_through_a_runner_at_the_voices_rate(bench: Bench, source: Source) -> None:
    spec = LoadSpec(model=model_of(), path=source("synthesizer").path)
    loaded = bench.load("open_speech_piper", "synthesizer", "piper", spec)
    assert (loaded.device, loaded.max_concurrency) == ("cpu", 1)
    items = bench.call(SynthesizeRequest(text=TEXT, voice=JOE, options={"noise_w_scale": 0.1}))
    assert {item.rate for item in items if isinstance(item, Samples)} == {22_050}
    assert 1.5 < len(joined(items)) / 22_050 < 5
    with pytest.raises(OpenSpeechError, match="<= 2"):
        bench.call(SynthesizeRequest(text=TEXT, voice=JOE, options={"noise_scale": 3.0}))


@pytest.mark.model
def test_what_it_says_is_understood(engine: PiperEngine, bench: Bench, source: Source) -> None:
    import soxr

    whisper = pytest.importorskip("open_speech_whisper.provider")
    model = whisper.WhisperTranscriber(whisper.WhisperOptions(), Path()).resolve("Systran/faster-whisper-tiny.en")
    bench.load(
        "open_speech_whisper", "transcriber", "whisper",
        LoadSpec(model=model, path=source("transcriber").path),
    )  # fmt: skip
    heard = soxr.resample(sound(engine, TEXT, options=STILL), 22_050, 16_000)
    items = bench.call(TranscribeRequest(audio=wire(heard)))
    text = " ".join(getattr(item, "text", "") for item in items).lower()
    assert "quick brown fox jumps over the lazy dog" in text


@pytest.mark.model
def test_speed_shortens(engine: PiperEngine) -> None:
    """Not quite by the factor: Piper rounds each phoneme's length up to a frame."""
    usual = len(sound(engine, TEXT, options=STILL))
    assert 0.45 < len(sound(engine, TEXT, options=STILL, speed=2.0)) / usual < 0.65
    assert 1.6 < len(sound(engine, TEXT, options=STILL, speed=0.5)) / usual < 2.1


@pytest.mark.model
def test_it_sounds_exactly_like_the_library(engine: PiperEngine, source: Source) -> None:
    from piper import PiperVoice, SynthesisConfig

    voice = PiperVoice.load(source("synthesizer").path)
    config = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)
    expected = np.concatenate([chunk.audio_float_array for chunk in voice.synthesize(TEXT, config)])
    found = sound(engine, TEXT, options=STILL)
    assert np.abs(found).max() == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.model
def test_the_owners_noise_is_used_unless_the_caller_says_otherwise(source: Source, tmp_path: Path) -> None:
    still = make(tmp_path, noise_scale=0.0, noise_w_scale=0.0)
    engine = still.load(LoadSpec(model=model_of(), path=source("synthesizer").path))
    assert isinstance(engine, PiperEngine)
    assert np.array_equal(sound(engine, TEXT), sound(engine, TEXT))
    noisy = PiperRequestOptions(noise_scale=0.667, noise_w_scale=0.8)
    assert not np.array_equal(sound(engine, TEXT, options=noisy), sound(engine, TEXT, options=noisy))


@pytest.mark.model
@pytest.mark.parametrize("text", ["", " ", "\n\t ", "...", "\0"])
def test_nothing_to_say_gives_nothing(engine: PiperEngine, text: str) -> None:
    assert sum(len(audio.samples) for audio in speak(engine, text)) == 0


@pytest.mark.model
def test_sentences_come_one_by_one(engine: PiperEngine) -> None:
    assert len(speak(engine, "One sentence. And another one. And a third.")) == 3


@pytest.mark.model
def test_a_text_without_a_stop_comes_in_short_pieces(engine: PiperEngine) -> None:
    """The library alone would make it in one step, of gigabytes."""
    pieces = speak(engine, "some more words without any stop " * 40)
    assert len(pieces) > 3
    assert all(len(audio.samples) / audio.rate < 0.1 * PIECE_PHONEMES for audio in pieces)


@pytest.mark.model
def test_a_caller_who_leaves_is_noticed_at_the_next_piece(engine: PiperEngine) -> None:
    context = Context()
    items = engine.synthesize(SynthesizeRequest(text="One. Two. Three.", voice=JOE), context)
    next(items)
    context.cancel()
    with pytest.raises(Cancelled):
        next(items)


@pytest.mark.model
def test_a_caller_who_leaves_stops_the_piece_that_is_made(engine: PiperEngine) -> None:
    request = SynthesizeRequest(text="some more words without any stop " * 40, voice=JOE)
    piece_s, free_s = left_within(engine, request)
    assert free_s < piece_s / 3
    assert speak(engine, "Yes.")


@pytest.mark.model
@pytest.mark.parametrize("voice", ["en_US-amy-medium", f"{JOE}/nobody", f"{JOE}/", ""])
def test_a_voice_it_has_not_is_refused(engine: PiperEngine, voice: str) -> None:
    with pytest.raises(VoiceNotFound):
        list(engine.synthesize(SynthesizeRequest(text=TEXT, voice=voice), Context()))


@pytest.mark.model
def test_a_speaker_of_a_voice_can_be_chosen(source: Source, tmp_path: Path) -> None:
    """Joe's weights under a config that names two speakers; the model itself knows one."""
    config = json.loads(Path(f"{source('synthesizer').path}.json").read_text())
    lay(tmp_path, JOE, 22_050)
    shutil.copy(source("synthesizer").path, tmp_path / f"{JOE}.onnx")
    config["speaker_id_map"] = {"first": 0, "second": 1}
    (tmp_path / f"{JOE}.onnx.json").write_text(json.dumps(config))
    provider = make(tmp_path)
    engine = provider.load(LoadSpec(model=model_of()))
    assert isinstance(engine, PiperEngine)
    request = SynthesizeRequest(text=TEXT, voice=f"{JOE}/second")
    assert engine._settings(request).speaker_id == 1
    assert list(engine.synthesize(request, Context()))


@pytest.mark.model
def test_the_rate_is_the_configs(source: Source, tmp_path: Path) -> None:
    config = json.loads(Path(f"{source('synthesizer').path}.json").read_text())
    config["audio"]["sample_rate"] = 16_000
    shutil.copy(source("synthesizer").path, tmp_path / f"{JOE}.onnx")
    (tmp_path / f"{JOE}.onnx.json").write_text(json.dumps(config))
    provider = make(tmp_path)
    engine = provider.load(LoadSpec(model=model_of()))
    assert isinstance(engine, PiperEngine)
    assert {audio.rate for audio in speak(engine, "Yes.")} == {16_000}


@pytest.mark.model
def test_warnings_that_quote_the_text_are_not_logged(engine: PiperEngine, caplog: pytest.LogCaptureFixture) -> None:
    import logging

    from piper import phoneme_ids

    speak(engine, "naïve 你好 [[ ɧɧ☃ ]]")
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]
    assert not logging.getLogger(phoneme_ids.__name__).isEnabledFor(logging.WARNING)


@pytest.mark.model
def test_cuda_that_is_not_there_is_a_clear_error(source: Source, tmp_path: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine's ONNX Runtime has CUDA")
    spec = LoadSpec(model=model_of(), path=source("synthesizer").path, device="cuda")
    with pytest.raises(LoadFailed, match="'cuda' was asked for"):
        make(tmp_path).load(spec)


# word times


def parted(text: str) -> list[str]:
    """Give one phoneme a letter."""
    return list(text)


def test_words_are_what_spaces_part() -> None:
    pieces = [parted("we came."), parted("it  went")]
    assert word_spans([parted(word) for word in ("we", "came.", "it", "went")], pieces) == [
        (0, 2), (3, 8), (8, 10), (12, 16),
    ]  # fmt: skip


def test_a_word_of_several_and_words_spoken_as_one_are_found() -> None:
    """As "42" is, and "of the" in English."""
    pieces = [parted("forty two əvðə best")]
    words = [parted(word) for word in ("forty two", "ɒv", "ðə", "best")]
    assert word_spans(words, pieces) == [(0, 9), (9, 12), (12, 15), (15, 19)]


@given(
    words=st.lists(st.text("abc", min_size=1, max_size=5), min_size=1, max_size=12),
    pieces=st.lists(st.text("abc ", max_size=20), min_size=1, max_size=4),
)
def test_spans_are_in_order_and_within_the_text_whatever_the_phonemes(words: list[str], pieces: list[str]) -> None:
    spans = word_spans([parted(word) for word in words], [parted(piece) for piece in pieces])
    assert len(spans) == len(words)
    bounds = [bound for span in spans for bound in span]
    assert bounds == sorted(bounds)
    assert 0 <= bounds[0] <= bounds[-1] <= sum(map(len, pieces))


@pytest.fixture(scope="module")
def aligned(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PiperEngine]:
    """Joe, exported anew with the lengths of its phonemes: one more output of the same graph."""
    home = tmp_path_factory.mktemp("aligned")
    weights = Path(source("synthesizer").path)
    name, value, graph = b"/Ceil_output_0", 12, 7

    def field(number: int, content: bytes) -> bytes:
        """Give a field of a protocol buffer; those of a message that comes twice are merged."""
        return bytes([number << 3 | 2, len(content)]) + content

    added = field(graph, field(value, field(1, name)))
    (home / f"{JOE}.onnx").write_bytes(weights.read_bytes() + added)
    shutil.copy(f"{weights}.json", home / f"{JOE}.onnx.json")
    loaded = make(home).load(LoadSpec(model=model_of()))
    yield loaded  # type: ignore[misc]
    loaded.close()


SAYINGS = f"{TEXT} He took 42 of the best, and left at once."


@pytest.mark.model
def test_a_voice_with_alignments_says_when_each_word_is_heard(
    aligned: PiperEngine, engine: PiperEngine, bench: Bench, source: Source
) -> None:
    import soxr

    items = spoken(aligned, SAYINGS, options=STILL)
    times = [item for item in items if isinstance(item, Timing)]
    assert [time.word for time in times] == SAYINGS.split()
    samples = np.concatenate([item.samples for item in items if isinstance(item, Audio)])
    np.testing.assert_allclose(samples, sound(engine, SAYINGS, options=STILL), atol=1e-3)
    bounds = [bound for time in times for bound in (time.start, time.end)]
    assert bounds == sorted(bounds)
    assert bounds[-1] <= len(samples) / 22_050
    whisper = pytest.importorskip("open_speech_whisper.provider")
    model = whisper.WhisperTranscriber(whisper.WhisperOptions(), Path()).resolve("Systran/faster-whisper-tiny.en")
    bench.load(
        "open_speech_whisper", "transcriber", "whisper",
        LoadSpec(model=model, path=source("transcriber").path),
    )  # fmt: skip
    request = TranscribeRequest(audio=wire(soxr.resample(samples, 22_050, 16_000)), word_timestamps=True)
    heard = [word for item in bench.call(request) for word in getattr(item, "words", ()) or ()]
    by_word = {word.word.strip(" .,").lower(): word for word in heard}
    found = [abs(time.end - by_word[key].end) for time in times if (key := time.word.strip(".,").lower()) in by_word]
    assert len(found) >= 15
    assert np.median(found) < 0.1


@pytest.mark.model
def test_times_come_beside_their_sentence(aligned: PiperEngine) -> None:
    kinds = [type(item).__name__ for item in spoken(aligned, "Yes. It is.", options=STILL)]
    assert kinds == ["Audio", "Timing", "Audio", "Timing", "Timing"]


@pytest.mark.model
@pytest.mark.parametrize("text", ["", "...", " \n", "🙂", "Well, — 🙂 yes!", "a" * 2000, "no stop " * 100])
def test_texts_of_any_form_have_words_in_order(aligned: PiperEngine, text: str) -> None:
    items = spoken(aligned, text, options=STILL)
    length_s = sum(len(item.samples) for item in items if isinstance(item, Audio)) / 22_050
    starts = [item.start for item in items if isinstance(item, Timing)]
    assert starts == sorted(starts)
    assert all(item.end <= length_s for item in items if isinstance(item, Timing))
    assert {item.word for item in items if isinstance(item, Timing)} <= set(text.split())
