"""Kokoro speaks: the right voice or blend, in its language, like the library, in short steps."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech_core.errors import Cancelled, FeatureNotSupported, InvalidRequest, LoadFailed, VoiceNotFound
from open_speech_core.providers import Context
from open_speech_core.testing import check_synthesizer
from open_speech_core.types import (
    Audio,
    Float32,
    LoadSpec,
    Samples,
    Segment,
    SynthesizeRequest,
    Timing,
    TranscribeRequest,
)
from open_speech_kokoro import files
from open_speech_kokoro.blend import parse_blend
from open_speech_kokoro.phonemes import FrontEnds, lacks
from open_speech_kokoro.voices import LANGUAGES
from plugins.bench import Bench, joined, left_within, wire
from plugins.kokoro_for_tests import TEXT, make, model_of

INT8_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"

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
    provider = make(home, runtime="onnx", g2p="espeak")
    # Beside other work two threads would wait for each other, and steps take three times as long.
    spec = LoadSpec(model=model_of(provider), threads=1)
    check_synthesizer(provider, spec.model, spec=spec, text="One sentence. And here is another one.", calls=0)


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
    context.cancel()
    with pytest.raises(Cancelled):
        list(items)


@pytest.mark.model
def test_a_caller_who_leaves_stops_the_piece_that_is_made(engine: Any) -> None:
    text = "This one is spoken at some length, so that its caller can leave before the end of it."
    piece_s, free_s = left_within(engine, SynthesizeRequest(text=text, voice="af_sky"))
    assert free_s < piece_s / 3
    assert speak(engine, "Yes.")


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
