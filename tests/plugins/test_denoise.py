"""Noise goes, speech stays, and nothing is lost at the seams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import convert

from open_speech_core.providers import NoOptions, ProcessorSession
from open_speech_core.testing import Case, cases, check_plugin
from open_speech_core.types import Float32, LoadSpec, SessionConfig
from open_speech_denoise.provider import RATE, DenoiseProcessor
from plugins.bench import decode

pytest.importorskip("noisereduce")


@pytest.mark.slow
@pytest.mark.parametrize("case", cases("open_speech_denoise"))
def test_the_processor_keeps_the_laws(case: Case) -> None:
    case.check()


def test_the_plugin_keeps_the_laws() -> None:
    check_plugin("open_speech_denoise")


@pytest.fixture(scope="module")
def speech(data: Path) -> Float32:
    """Half as loud, so that noise clips nothing, after a second of silence."""
    return np.concatenate([np.zeros(RATE, np.float32), 0.5 * decode(data / "speech" / "jfk.flac")])


def opened(**options: Any) -> ProcessorSession:
    provider = DenoiseProcessor(NoOptions(), Path())
    engine = provider.load(LoadSpec(model=provider.models()[0]))
    return engine.open(SessionConfig(rate=RATE, options=convert(options, provider.RequestOptions)))


def through(samples: Float32, **options: Any) -> Float32:
    session = opened(**options)
    made = [part for start in range(0, len(samples), 4000) for part in session.feed(samples[start : start + 4000])]
    return np.concatenate([*made, *session.flush()])


def noise(length: int, level: float) -> Float32:
    return np.random.default_rng(3).normal(0, level, length).astype(np.float32)


@pytest.mark.parametrize("stationary", [False, True])
def test_noise_goes_and_speech_stays(speech: Float32, stationary: bool) -> None:
    noisy = speech + noise(len(speech), 0.02)
    after = through(noisy, stationary=stationary)
    assert len(after) == len(speech)
    pause = slice(RATE // 4, RATE * 3 // 4)
    assert np.std(after[pause]) < 0.4 * np.std(noisy[pause])
    assert np.corrcoef(after, speech)[0, 1] > 0.9


def test_there_is_no_seam_where_stretches_meet(speech: Float32) -> None:
    """A second around the seam sounds as it does where no seam is."""
    session = opened(stationary=True, strength=0.5)
    seam = 8 * RATE
    cut = np.concatenate([*session.feed(speech), *session.flush()])
    shifted = through(speech[RATE:], stationary=True, strength=0.5)
    around = slice(seam - RATE // 4, seam + RATE // 4)
    moved = slice(around.start - RATE, around.stop - RATE)
    assert np.std(cut[around] - shifted[moved]) < 0.2 * np.std(cut[around])


def test_strength_nothing_changes_nothing(speech: Float32) -> None:
    np.testing.assert_allclose(through(speech, strength=0.0)[100:-100], speech[100:-100], atol=2e-3)
