"""Whisper hears what was said, when, and nothing a caller may not know."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from open_speech_core.errors import (
    Cancelled,
    DownloadFailed,
    FeatureNotSupported,
    InvalidRequest,
    LoadFailed,
    OpenSpeechError,
    WeightsMissing,
)
from open_speech_core.options import from_environment
from open_speech_core.providers import Context
from open_speech_core.testing import Case, check_plugin
from open_speech_core.types import (
    CANCEL_S,
    Artifacts,
    Float32,
    Info,
    Kind,
    LoadSpec,
    Model,
    ModelSource,
    Segment,
    Task,
    TranscribeRequest,
)
from open_speech_whisper.catalogue import ALIASES, MODELS
from open_speech_whisper.provider import WhisperOptions, WhisperRequestOptions, WhisperTranscriber
from plugins.bench import Bench, starter_cases, wire
from plugins.multilingual import build

pytest.importorskip("faster_whisper")
from open_speech_whisper.engine import (
    LADDER,
    Temperatures,
    Times,
    WhisperEngine,
    choose_compute_type,
    choose_device,
)

RATE = 16_000
TINY = "Systran/faster-whisper-tiny.en"
KNOWN = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"
CPU_TYPES = {"float32", "int8", "int8_float32"}
GPU_TYPES = {"float32", "float16", "int8", "int8_float16"}

Source = Callable[[Kind], ModelSource]


def words_of(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def make(home: Path, **options: Any) -> WhisperTranscriber:
    return WhisperTranscriber(WhisperOptions(**options), home)


def model_of(id: str) -> Model:
    model = make(Path("nowhere")).resolve(id)
    assert model is not None
    return model


def lay(folder: Path, *files: str) -> Path:
    folder.mkdir(parents=True)
    for file in files or ("config.json", "model.bin", "tokenizer.json"):
        (folder / file).write_bytes(b"{}")
    return folder


# what the provider says


def test_the_plugin_keeps_the_laws() -> None:
    check_plugin("open_speech_whisper")


def test_asking_imports_no_model_library(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import open_speech_whisper as plugin\n"
        "cls = plugin.open_speech_register_transcribers()[0]\n"
        f"made = cls(cls.Options(model_dir={str(tmp_path)!r}), Path({str(tmp_path)!r}))\n"
        "for id in ('Systran/faster-whisper-base', 'someone/some-model', 'folder'):\n"
        "    model = made.resolve(id)\n"
        "    assert model is None or not made.artifacts(model).complete\n"
        "assert len(made.models()) == 14 and made.voices(made.models()[0]) == ()\n"
        "bad = {'numpy', 'faster_whisper', 'ctranslate2', 'huggingface_hub', 'av', 'tokenizers'}\n"
        "assert not bad & set(sys.modules), bad & set(sys.modules)\n"
    )
    empty = {"HF_HOME": str(tmp_path), "PATH": ""}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, env=empty)


def test_models_say_what_they_can() -> None:
    said = {model.id.rpartition("/")[2]: (model.translates, model.languages == ("en",)) for model in MODELS}
    assert said["faster-whisper-tiny"] == (True, False)
    assert said["faster-whisper-medium.en"] == (False, True)
    assert said["faster-whisper-large-v3"] == (True, False)
    assert said["faster-whisper-large-v3-turbo-ct2"] == (False, False)
    assert said["faster-distil-whisper-large-v3"] == (False, True)
    assert all(model.rate == RATE and model.licence == "MIT" and model.span_s == 30 for model in MODELS)


def test_short_names_mean_listed_models() -> None:
    listed = {model.id for model in MODELS}
    assert set(ALIASES.values()) <= listed
    assert ALIASES["turbo"] == "deepdml/faster-whisper-large-v3-turbo-ct2"
    assert ALIASES["whisper-base.en"] == "Systran/faster-whisper-base.en"
    assert WhisperTranscriber.aliases is ALIASES


@pytest.mark.parametrize("id", ["someone/whisper-medium-de-ct2", "a/b", "Org_1/name.with-dots_v2"])
def test_any_repository_of_the_hub_is_claimed(id: str) -> None:
    model = make(Path("nowhere")).resolve(id)
    assert model is not None
    assert (model.id, model.kind, model.rate) == (id, "transcriber", RATE)


@pytest.mark.parametrize(
    "id",
    [
        "",
        "tiny",
        "a/b/c",
        "../b",
        "a/..",
        "a/.b",
        "-a/b",
        "a/b--c",
        "a/b..c",
        "a/b.git",
        "a b/c",
        "a/b\n",
        "a/é",
        "a\\b/c",
        f"a/{'b' * 95}",
    ],
)
def test_what_is_no_repository_is_not_claimed(id: str) -> None:
    assert make(Path("nowhere")).resolve(id) is None


def test_a_folder_of_the_owner_is_claimed_by_its_name(tmp_path: Path) -> None:
    own = lay(tmp_path / "models" / "my-whisper.en")
    lay(tmp_path / "models" / "half", "config.json")
    lay(tmp_path / "outside")
    provider = make(tmp_path / "home", model_dir=str(tmp_path / "models"))
    model = provider.resolve("my-whisper.en")
    assert model is not None
    assert model.languages == ("en",)
    assert provider.artifacts(model).paths == (str(own),)
    for id in ("half", "..", ".", "../outside", "absent", "my-whisper.en/", str(tmp_path / "outside")):
        assert provider.resolve(id) is None


@pytest.mark.parametrize(
    "place",
    [
        "home/Systran--faster-whisper-tiny.en",
        "own/Systran--faster-whisper-tiny.en",
        "own/models--Systran--faster-whisper-tiny.en/snapshots/abc",
        "hf/hub/models--Systran--faster-whisper-tiny.en/snapshots/abc",
    ],
)
def test_weights_are_found_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    provider = make(tmp_path / "home", model_dir=str(tmp_path / "own"))
    assert not provider.artifacts(model_of(TINY)).complete
    folder = lay(tmp_path / place)
    assert provider.artifacts(model_of(TINY)).paths == (str(folder),)
    assert provider.artifacts(model_of(TINY)).complete
    (folder / "model.bin").unlink()
    assert not provider.artifacts(model_of(TINY)).complete


def test_every_copy_and_what_a_download_left_are_the_models_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    provider = make(tmp_path / "home", model_dir=str(tmp_path / "own"))
    partial = lay(tmp_path / "home" / ".Systran--faster-whisper-tiny.en.part", "config.json")
    assert provider.artifacts(model_of(TINY)) == Artifacts(paths=(str(partial),))
    cached = lay(tmp_path / "hf" / "hub" / "models--Systran--faster-whisper-tiny.en" / "snapshots" / "abc")
    owned = lay(tmp_path / "own" / "Systran--faster-whisper-tiny.en")
    found = provider.artifacts(model_of(TINY))
    assert found == Artifacts(paths=(str(owned), str(cached), str(partial)), complete=True)


def test_a_repositorys_folder_has_no_second_id(tmp_path: Path) -> None:
    lay(tmp_path / "own" / "Systran--faster-whisper-tiny.en")
    provider = make(tmp_path / "home", model_dir=str(tmp_path / "own"))
    assert provider.resolve("Systran--faster-whisper-tiny.en") is None, "deleting it would delete a loaded model"
    assert provider.artifacts(model_of(TINY)).complete


def test_models_that_lie_here_and_nobody_listed_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    provider = make(tmp_path / "home", model_dir=str(tmp_path / "own"))
    assert list(provider.local()) == []
    for place in (
        "home/some--whisper",
        "home/Systran--faster-whisper-tiny.en",
        "own/some--whisper",
        "own/mine",
        "own/models--other--whisper/snapshots/abc",
        "hf/hub/models--third--faster-Whisper/snapshots/abc",
        "hf/hub/models--third--translator/snapshots/abc",
    ):
        lay(tmp_path / place)
    (tmp_path / "home" / ".half--whisper.part").mkdir()
    found = [model.id for model in provider.local()]
    assert found == ["some/whisper", "mine", "other/whisper", "third/faster-Whisper"]
    assert all(provider.artifacts(model).complete for model in provider.local())


def test_settings_come_from_their_variables() -> None:
    problems: list[Any] = []
    environ = {"STT_COMPUTE_TYPE": "float16", "STT_MODEL_DIR": "/m", "WHISPER_BEAM_SIZE": "2"}
    assert from_environment(WhisperOptions, "WHISPER_", environ, problems) == WhisperOptions(
        compute_type="float16", model_dir="/m", beam_size=2
    )
    from_environment(WhisperOptions, "WHISPER_", {"STT_COMPUTE_TYPE": "int9", "WHISPER_BEAM_SIZE": "0"}, problems)
    assert [problem.variable for problem in problems] == ["STT_COMPUTE_TYPE", "WHISPER_BEAM_SIZE"]


def test_a_folder_cannot_be_downloaded(tmp_path: Path) -> None:
    lay(tmp_path / "mine", "config.json", "model.bin")
    provider = make(tmp_path / "home", model_dir=str(tmp_path))
    model = provider.resolve("mine")
    assert model is not None
    with pytest.raises(DownloadFailed, match=r"lacks tokenizer\.json"):
        provider.download(model, Context())


# what it loads on


def test_the_device_is_the_one_asked_for() -> None:
    assert choose_device("auto", 0) == ("cpu", 0)
    assert choose_device("auto", 2) == ("cuda", 0)
    assert choose_device("cpu", 2) == ("cpu", 0)
    assert choose_device("cuda:1", 2) == ("cuda", 1)
    for asked, gpus in (("cuda", 0), ("cuda:2", 2), ("tpu", 1), ("cuda:x", 1)):
        with pytest.raises(LoadFailed, match=asked):
            choose_device(asked, gpus)


def test_the_compute_type_fits_the_device(caplog: pytest.LogCaptureFixture) -> None:
    assert choose_compute_type("auto", "cpu", CPU_TYPES) == "int8"
    assert choose_compute_type("auto", "cuda", GPU_TYPES) == "float16"
    assert choose_compute_type("float32", "cpu", CPU_TYPES) == "float32"
    assert not caplog.records
    assert choose_compute_type("float16", "cpu", CPU_TYPES) == "int8"
    assert "float16" in caplog.text
    with pytest.raises(LoadFailed, match="bfloat16"):
        choose_compute_type("bfloat16", "cuda", GPU_TYPES)


def test_missing_weights_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(WeightsMissing, match="open-speech models download Systran/faster-whisper-base") as caught:
        make(tmp_path).load(LoadSpec(model=model_of("Systran/faster-whisper-base")))
    assert str(tmp_path) not in caught.value.message


@pytest.mark.parametrize(
    ("files", "said"),
    [((), "could not be loaded on cpu"), (("config.json", "model.bin"), "has no tokenizer.json")],
    ids=["garbage", "no tokenizer"],
)
def test_a_folder_that_is_no_model_is_said_so(tmp_path: Path, files: tuple[str, ...], said: str) -> None:
    folder = lay(tmp_path / "folder", *files)
    with pytest.raises(LoadFailed, match=said) as caught:
        make(tmp_path).load(LoadSpec(model=model_of(TINY), path=str(folder)))
    assert str(tmp_path) not in caught.value.message


# laws of its parts


TIMES = st.floats(-5, 40)


@given(span_s=st.floats(0.01, 30), spoken=st.lists(st.tuples(TIMES, TIMES), max_size=20))
def test_times_fit_the_span(span_s: float, spoken: list[tuple[float, float]]) -> None:
    times = Times(span_s)
    before = 0.0
    for start, end in (times.segment(*pair) for pair in spoken):
        assert before <= start < end <= span_s
        before = start
    before = 0.0
    for start, end in (times.word(*pair) for pair in spoken):
        assert before <= start <= end <= span_s
        before = end


def test_the_ladder_stops_once_the_caller_has_left() -> None:
    context = Context()
    rungs = iter(Temperatures(LADDER, context))
    assert [next(rungs), next(rungs)] == [0.0, 0.2]
    context.cancel()
    with pytest.raises(Cancelled):
        next(rungs)


# real speech


@pytest.fixture(scope="module")
def engine(source: Source, tmp_path_factory: pytest.TempPathFactory) -> WhisperEngine:
    spec = LoadSpec(model=model_of(TINY), path=source("transcriber").path, threads=2)
    return make(tmp_path_factory.mktemp("home")).load(spec)  # type: ignore[return-value]


def transcribe(engine: WhisperEngine, audio: Float32, **fields: Any) -> list[Segment]:
    """Give the segments; an ``Info`` must come first."""
    info, *segments = engine.transcribe(TranscribeRequest(audio=wire(audio), **fields), Context())
    assert isinstance(info, Info)
    assert info.language == "en"
    return segments  # type: ignore[return-value]


def text_of(segments: list[Segment]) -> str:
    return words_of("".join(segment.text for segment in segments))


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", starter_cases("open_speech_whisper"))
def test_the_engine_keeps_the_laws(case: Case, jfk: Float32) -> None:
    case.check(speech=jfk)


@pytest.mark.model
def test_known_words_through_a_runner(bench: Bench, source: Source, jfk: Float32) -> None:
    spec = LoadSpec(model=model_of(TINY), path=source("transcriber").path, threads=2)
    loaded = bench.load("open_speech_whisper", "transcriber", "whisper", spec)
    assert (loaded.device, loaded.compute_type, loaded.max_concurrency) == ("cpu", "int8", 1)
    info, *segments = bench.call(TranscribeRequest(audio=wire(jfk), options={"beam_size": 3}))
    assert info == Info(language="en", language_probability=1.0)
    assert text_of(segments) == KNOWN  # type: ignore[arg-type]
    with pytest.raises(OpenSpeechError, match="<= 10"):
        bench.call(TranscribeRequest(audio=wire(jfk), options={"beam_size": 11}))


@pytest.mark.model
def test_a_stretch_of_speech_gives_all_ten_fields(engine: WhisperEngine, jfk: Float32) -> None:
    (first, *_) = transcribe(engine, jfk)
    assert 0 <= first.start < first.end <= 11
    assert first.tokens
    assert first.temperature == 0.0
    assert first.avg_logprob is not None
    assert -1 < first.avg_logprob < 0
    assert first.compression_ratio is not None
    assert first.no_speech_prob is not None
    assert first.words is None
    assert first.logprobs is None
    assert all(type(value) is float for value in (first.start, first.end, first.avg_logprob))


@pytest.mark.model
def test_words_come_in_order_and_make_the_text(engine: WhisperEngine, jfk: Float32) -> None:
    segments = transcribe(engine, jfk, word_timestamps=True)
    words = [word for segment in segments for word in segment.words or ()]
    assert words_of("".join(word.word for word in words)) == KNOWN
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times)
    country = next(word for word in words if "country" in word.word)
    assert 4.5 < country.start < country.end < 7.5
    assert all(0 <= (word.probability or 0) <= 1 for word in words)


@pytest.mark.model
def test_logprobs_come_by_word_and_without_words(engine: WhisperEngine, jfk: Float32) -> None:
    segments = transcribe(engine, jfk, logprobs=True)
    tokens = [token for segment in segments for token in segment.logprobs or ()]
    assert words_of("".join(token.token for token in tokens)) == KNOWN
    assert all(token.logprob <= 0 and bytes(token.bytes).decode() == token.token for token in tokens)
    assert all(segment.words is None for segment in segments)


@pytest.mark.model
@pytest.mark.parametrize("samples", [0, 1, 159])
def test_next_to_nothing_gives_no_segment(engine: WhisperEngine, samples: int) -> None:
    assert transcribe(engine, np.full(samples, 0.1, np.float32)) == []


@pytest.mark.model
def test_silence_is_survived(engine: WhisperEngine) -> None:
    segments = transcribe(engine, np.zeros(3 * RATE, np.float32))
    assert all(0 <= segment.start < segment.end <= 3 for segment in segments)


@pytest.mark.model
def test_a_temperature_of_its_own_is_kept(engine: WhisperEngine, jfk: Float32) -> None:
    assert {segment.temperature for segment in transcribe(engine, jfk, temperature=0.4)} == {0.4}


@pytest.mark.model
def test_a_full_prompt_and_many_hotwords_leave_room_for_the_text(engine: WhisperEngine, jfk: Float32) -> None:
    options = WhisperRequestOptions(hotwords="k e n n e d y " * 70)
    prompt = "The president speaks to the people of his country. " * 60
    assert "country" in text_of(transcribe(engine, jfk, prompt=prompt, options=options))


@pytest.mark.model
def test_control_tokens_in_a_prompt_are_words_of_the_caller(engine: WhisperEngine, jfk: Float32) -> None:
    prompt = "<|endoftext|>" * 200
    assert text_of(transcribe(engine, jfk, prompt=prompt)) == KNOWN


@pytest.mark.model
def test_what_an_english_model_cannot_do(engine: WhisperEngine, jfk: Float32) -> None:
    with pytest.raises(FeatureNotSupported, match="cannot translate"):
        transcribe(engine, jfk, task="translate")
    assert text_of(transcribe(engine, jfk[: 4 * RATE], language="de"))


@pytest.mark.model
def test_a_caller_who_leaves_is_noticed_within_the_promise(engine: WhisperEngine, jfk: Float32) -> None:
    """Speech three times over makes the library climb its whole ladder within one of its steps."""
    context = Context()
    request = TranscribeRequest(audio=wire(np.tile(jfk, 3)[: 30 * RATE]))
    items = engine.transcribe(request, context)
    next(items)
    left: list[float] = []

    def leave() -> None:
        context.cancel()
        left.append(time.monotonic())

    timer = threading.Timer(0.3, leave)
    timer.start()
    with pytest.raises(Cancelled):
        list(items)
    assert time.monotonic() - left[0] < (engine.cancel_s or CANCEL_S)
    assert text_of(transcribe(engine, jfk)) == KNOWN


@pytest.mark.model
def test_a_slow_model_promises_twice_its_longest_call(engine: WhisperEngine, jfk: Float32) -> None:
    transcribe(engine, jfk, word_timestamps=True)
    model = engine._model.model
    assert 0 < model.longest_s < 5
    kept = model.longest_s
    try:
        model.longest_s = 0.4
        assert engine.cancel_s is None
        model.longest_s = 20.0
        assert engine.cancel_s == 40.0
    finally:
        model.longest_s = kept


@pytest.mark.model
def test_float16_on_a_cpu_becomes_int8(source: Source, tmp_path: Path) -> None:
    spec = LoadSpec(model=model_of(TINY), path=source("transcriber").path, compute_type="float16", device="cpu")
    engine = make(tmp_path).load(spec)
    assert engine.compute_type == "int8"
    engine.close()


@pytest.mark.model
def test_cuda_that_is_not_there_is_a_clear_error(source: Source, tmp_path: Path) -> None:
    import ctranslate2

    if ctranslate2.get_cuda_device_count():
        pytest.skip("this machine has a GPU")
    spec = LoadSpec(model=model_of(TINY), path=source("transcriber").path, device="cuda")
    with pytest.raises(LoadFailed, match="'cuda' was asked for"):
        make(tmp_path).load(spec)


@pytest.mark.model
def test_the_model_decides_whether_it_translates(source: Source, tmp_path: Path, jfk: Float32) -> None:
    """An id that promises translation over weights that know English only."""
    promised = structs.replace(model_of("someone/multilingual"), translates=True)
    engine = make(tmp_path).load(LoadSpec(model=promised, path=source("transcriber").path))
    with pytest.raises(FeatureNotSupported):
        list(engine.transcribe(TranscribeRequest(audio=wire(jfk), task="translate"), Context()))
    engine.close()


# a multilingual model, of random weights


@pytest.fixture(scope="module")
def multilingual(source: Source, tmp_path_factory: pytest.TempPathFactory) -> WhisperEngine:
    folder = build(Path(source("transcriber").path), tmp_path_factory.mktemp("built") / "multilingual")
    model = model_of("someone/multilingual")
    return make(tmp_path_factory.mktemp("home")).load(LoadSpec(model=model, path=str(folder)))  # type: ignore[return-value]


def info_of(engine: WhisperEngine, audio: Float32, **fields: Any) -> Info:
    info, *_ = engine.transcribe(TranscribeRequest(audio=wire(audio), temperature=0.5, **fields), Context())
    assert isinstance(info, Info)
    return info


@pytest.mark.model
def test_the_language_is_detected_unless_it_is_said(multilingual: WhisperEngine, jfk: Float32) -> None:
    heard = info_of(multilingual, jfk)
    assert heard.language is not None
    assert 0 < (heard.language_probability or 0) < 1
    assert info_of(multilingual, jfk, language="de") == Info(language="de", language_probability=1.0)


@pytest.mark.model
def test_only_allowed_languages_are_detected(multilingual: WhisperEngine, jfk: Float32) -> None:
    freely = info_of(multilingual, jfk)
    others = tuple({"de", "fr", "pt", "ja"} - {freely.language})
    heard = info_of(multilingual, jfk, languages=others)
    assert heard.language in others
    assert 0 < (heard.language_probability or 0) <= (freely.language_probability or 0)
    assert info_of(multilingual, jfk, languages=("sv",)).language == "sv"
    assert info_of(multilingual, jfk, languages=("xx", "sv")).language == "sv"
    assert info_of(multilingual, jfk, language="de", languages=("sv",)).language == "de"


@pytest.mark.model
def test_languages_of_which_none_is_known_are_refused(multilingual: WhisperEngine, jfk: Float32) -> None:
    with pytest.raises(InvalidRequest, match="xx, yy") as caught:
        info_of(multilingual, jfk, languages=("xx", "yy"))
    assert caught.value.param == "languages"


@pytest.mark.model
def test_segments_say_their_language(multilingual: WhisperEngine, jfk: Float32) -> None:
    request = TranscribeRequest(audio=wire(jfk), temperature=1e-6, languages=("fr", "de"))
    info, *segments = multilingual.transcribe(request, Context())
    assert isinstance(info, Info)
    assert segments
    assert {each.language for each in segments if isinstance(each, Segment)} == {info.language}


@pytest.mark.model
def test_keywords_are_listened_for(engine: WhisperEngine, jfk: Float32) -> None:
    """They do what hotwords do, and something at all."""
    plain, named, hot = (
        "".join(segment.text for segment in transcribe(engine, jfk, **fields))
        for fields in (
            {},
            {"keywords": ("Amerikans", "fellow Amerikans")},
            {"options": WhisperRequestOptions(hotwords="Amerikans, fellow Amerikans")},
        )
    )
    assert named == hot != plain


@pytest.mark.model
def test_no_language_is_guessed_from_nothing(multilingual: WhisperEngine) -> None:
    assert info_of(multilingual, np.zeros(1, np.float32)) == Info()


@pytest.mark.model
def test_a_language_whisper_has_not_is_refused_by_name(multilingual: WhisperEngine, jfk: Float32) -> None:
    with pytest.raises(InvalidRequest, match="'xx'") as caught:
        info_of(multilingual, jfk, language="xx")
    assert caught.value.param == "language"


@pytest.mark.model
def test_a_multilingual_model_takes_the_task_to_translate(multilingual: WhisperEngine, jfk: Float32) -> None:
    """Next to no temperature makes equal requests give equal tokens, and another task gives others."""

    def tokens(task: Task) -> list[tuple[int, ...] | None]:
        request = TranscribeRequest(audio=wire(jfk), temperature=1e-6, language="fr", task=task)
        items = multilingual.transcribe(request, Context())
        return [item.tokens for item in items if isinstance(item, Segment)]

    assert tokens("transcribe") == tokens("transcribe") != []
    assert tokens("translate") != tokens("transcribe")
