"""Loudness comes to its target, peaks stay below the ceiling, and silence stays silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import convert

from open_speech_core.providers import NoOptions
from open_speech_core.testing import Case, cases, check_plugin
from open_speech_core.types import Float32, LoadSpec, SessionConfig
from open_speech_loudness.provider import LevelProcessor, NormalizeProcessor, PeakProcessor

pyloudnorm = pytest.importorskip("pyloudnorm")

RATE = 24_000
PROCESSORS = {"normalize": NormalizeProcessor, "level": LevelProcessor, "peak": PeakProcessor}


@pytest.mark.parametrize("case", cases("open_speech_loudness"))
def test_the_processors_keep_the_laws(case: Case) -> None:
    case.check()


def test_the_plugin_keeps_the_laws() -> None:
    check_plugin("open_speech_loudness")


@pytest.fixture(scope="module")
def speech(data: Path) -> Float32:
    import soxr

    from plugins.bench import decode

    return np.asarray(soxr.resample(decode(data / "speech" / "jfk.flac"), 16_000, RATE), np.float32)


def through(name: str, samples: Float32, rate: int = RATE, **options: Any) -> Float32:
    provider = PROCESSORS[name](NoOptions(), Path())
    engine = provider.load(LoadSpec(model=provider.models()[0]))
    session = engine.open(SessionConfig(rate=rate, options=convert(options, provider.RequestOptions)))
    step = rate // 3
    made = [part for start in range(0, len(samples), step) for part in session.feed(samples[start : start + step])]
    made += session.flush()
    return np.concatenate(made)


def lufs(samples: Float32) -> float:
    return float(pyloudnorm.Meter(RATE).integrated_loudness(samples.astype(np.float64)))


def true_peak_db(samples: Float32) -> float:
    from scipy.signal import resample_poly

    return float(20 * np.log10(np.abs(resample_poly(samples.astype(np.float64), 8, 1)).max()))


@pytest.mark.parametrize("before", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("target", [-30.0, -16.0])
def test_integrated_loudness_comes_to_the_target(speech: Float32, before: float, target: float) -> None:
    after = through("normalize", speech[: 9 * RATE] * before, target_lufs=target)
    assert len(after) == 9 * RATE
    assert lufs(after) == pytest.approx(target, abs=0.6)
    assert true_peak_db(after) <= -1.0


def test_what_is_too_loud_for_its_peaks_is_limited(speech: Float32) -> None:
    after = through("normalize", speech, target_lufs=-5.0)
    assert true_peak_db(after) <= -1.0
    assert -16 < lufs(after) < -5


def test_a_long_stream_is_on_its_way_before_it_ends(speech: Float32) -> None:
    provider = NormalizeProcessor(NoOptions(), Path())
    options = convert({"target_lufs": -20}, provider.RequestOptions)
    session = provider.load(LoadSpec(model=provider.models()[0])).open(SessionConfig(rate=RATE, options=options))
    long = np.concatenate([speech * 0.2] * 4)
    first = np.concatenate(list(session.feed(long[: 20 * RATE])))
    assert len(first) > 19 * RATE
    rest = np.concatenate([*session.feed(long[20 * RATE :]), *session.flush()])
    whole = np.concatenate([first, rest])
    assert len(whole) == len(long)
    assert lufs(whole) == pytest.approx(-20, abs=1)


@pytest.mark.parametrize("seconds", [0.01, 0.3, 1])
def test_short_sounds_are_normalised_too(seconds: float) -> None:
    tone = (0.01 * np.sin(2 * np.pi * 997 * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)
    after = through("normalize", tone, target_lufs=-20)
    assert len(after) == len(tone)
    assert 20 * np.log10(np.abs(after).max() * np.sqrt(0.5)) == pytest.approx(-20, abs=2)


@pytest.mark.parametrize("name", PROCESSORS)
def test_silence_stays_silence(name: str) -> None:
    assert not through(name, np.zeros(3 * RATE, np.float32)).any()


@pytest.mark.parametrize("before", [0.01, 0.1, 1.0])
def test_speech_comes_to_the_level(speech: Float32, before: float) -> None:
    quiet = speech * before
    after = through("level", quiet)
    frames = after[: len(after) // 480 * 480].reshape(-1, 480).astype(np.float64)
    power = np.mean(frames**2, axis=1)
    spoken = power[power > power.max() / 1000]
    assert 10 * np.log10(np.mean(spoken)) == pytest.approx(-18, abs=3.0)
    assert np.abs(after).max() <= 1.0


def spoken_db(samples: Float32) -> float:
    frames = samples[: len(samples) // 480 * 480].reshape(-1, 480).astype(np.float64)
    power = np.mean(frames**2, axis=1)
    return float(10 * np.log10(np.mean(power[power > power.max() / 1000])))


@pytest.mark.parametrize("before", [0.02, 0.1, 1.0])
@pytest.mark.parametrize("seconds", [2.5, 7])
@pytest.mark.parametrize("noise", [0.0, 0.0005])
def test_speech_after_silence_comes_to_the_level(speech: Float32, before: float, seconds: float, noise: float) -> None:
    silence = np.random.default_rng(0).normal(0, noise, round(seconds * RATE)).astype(np.float32)
    after = through("level", np.concatenate([silence, speech * before]))[len(silence) :]
    assert spoken_db(after) == pytest.approx(-18, abs=3.0)


def test_speech_after_soft_noise_is_not_driven_into_the_limiter(speech: Float32) -> None:
    noise = np.random.default_rng(0).normal(0, 10 ** (-55 / 20), 3 * RATE).astype(np.float32)
    after = through("level", np.concatenate([noise, speech * 0.3]))[len(noise) :]
    assert spoken_db(after[4 * RATE :]) == pytest.approx(-18, abs=4.0)
    assert np.mean(np.abs(after[4 * RATE :]) > 0.84) < 1e-4


def test_a_beginning_of_silence_does_not_hold_loudness_back(speech: Float32) -> None:
    silence = np.zeros(12 * RATE, np.float32)
    after = through("normalize", np.concatenate([silence, speech * 0.1]), target_lufs=-20)
    assert lufs(after) == pytest.approx(-20, abs=1)


def test_a_peak_bounds_the_gain() -> None:
    """One loud click among quiet noise must not be clipped for the noise's sake."""
    noise = np.random.default_rng(0).normal(0, 0.002, 3 * RATE).astype(np.float32)
    noise[RATE] = 0.8
    after = through("level", noise)
    assert np.abs(after).max() <= 10 ** (-1 / 20)
    assert np.std(after[:RATE]) < 2 * np.std(noise[:RATE])


def test_the_loudest_sample_comes_to_its_place(speech: Float32) -> None:
    after = through("peak", speech * 0.1, target=0.95)
    assert 0.8 < np.abs(after).max() <= 0.951
