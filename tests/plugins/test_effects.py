"""The effects do to sound what they say: measured by what comes out, not by how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import convert

from open_speech_core.providers import NoOptions, ProcessorSession
from open_speech_core.testing import Case, cases, check_plugin
from open_speech_core.types import Float32, LoadSpec, SessionConfig
from open_speech_effects.provider import EFFECTS, RATE

pytest.importorskip("scipy")
pytest.importorskip("pyroomacoustics")
pytest.importorskip("python_stretch")

BY_NAME = {effect.info.name: effect for effect in EFFECTS}
SECONDS = 2.0


@pytest.mark.parametrize("case", cases("open_speech_effects"))
def test_the_effects_keep_the_laws(case: Case) -> None:
    case.check()


def test_the_plugin_keeps_the_laws() -> None:
    check_plugin("open_speech_effects")


def opened(name: str, rate: int = RATE, **options: Any) -> ProcessorSession:
    provider = BY_NAME[name](NoOptions(), Path())
    engine = provider.load(LoadSpec(model=provider.models()[0]))
    return engine.open(SessionConfig(rate=rate, options=convert(options, provider.RequestOptions)))


def through(name: str, samples: Float32, rate: int = RATE, **options: Any) -> Float32:
    session = opened(name, rate, **options)
    made = [part for start in range(0, len(samples), rate) for part in session.feed(samples[start : start + rate])]
    made += session.flush()
    return np.concatenate([np.zeros(0, np.float32), *made])


def tone(hz: float, *, rate: int = RATE, seconds: float = SECONDS, level: float = 0.05) -> Float32:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def voice(hz: float, rate: int = RATE) -> Float32:
    return sum(tone(hz * k, rate=rate, level=0.2 / k) for k in range(1, 6))  # type: ignore[return-value]


def gain_db(name: str, at_hz: float, /, **options: Any) -> float:
    """Say what happens to a tone, once the filter has settled."""
    before = tone(at_hz)
    after = through(name, before, **options)
    middle = slice(RATE // 2, RATE * 3 // 2)
    return float(20 * np.log10(np.std(after[middle]) / np.std(before[middle])))


def spectrum_peaks(samples: Float32, rate: int, count: int) -> list[float]:
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 8 * len(samples)))
    found = []
    for _ in range(count):
        at = int(np.argmax(power))
        found.append(at * rate / (8 * len(samples)))
        power[max(0, at - 200) : at + 200] = 0
    return sorted(found)


def fundamental(samples: Float32, rate: int) -> float:
    """Find the pitch by autocorrelation, 60 to 500 Hz."""
    power = np.fft.irfft(np.abs(np.fft.rfft(samples, 2 * len(samples))) ** 2)
    low, high = rate // 500, rate // 60
    likely = np.flatnonzero(power[low:high] > 0.9 * power[low:high].max())
    first = likely[: int(np.argmax(np.diff(likely, append=high) > 1)) + 1]
    return rate / (low + int(first[np.argmax(power[low:high][first])]))


@pytest.mark.parametrize("rate", [16_000, 24_000, 44_100])
@pytest.mark.parametrize("semitones", [-12, -3.5, 2, 7, 12])
def test_pitch_moves_and_the_length_stays(semitones: float, rate: int) -> None:
    before = voice(180, rate)
    after = through("pitch", before, rate, semitones=semitones)
    assert len(after) == len(before)
    middle = after[rate // 2 : -rate // 2]
    assert fundamental(middle, rate) == pytest.approx(180 * 2 ** (semitones / 12), rel=0.015)


def test_pitch_stays_in_time() -> None:
    before = np.zeros(2 * RATE, np.float32)
    before[RATE : RATE + RATE // 2] = voice(200)[: RATE // 2]
    loud = np.flatnonzero(np.abs(through("pitch", before, semitones=3)) > 0.1) / RATE
    assert loud[0] == pytest.approx(1.0, abs=0.03)
    assert loud[-1] == pytest.approx(1.5, abs=0.03)


def test_no_shift_is_the_same_samples() -> None:
    before = voice(150)
    np.testing.assert_array_equal(through("pitch", before), before)


def decay_s(room: str) -> float:
    """Say when a click has become 30 dB quieter than all of it together."""
    click = np.zeros(RATE // 10, np.float32)
    click[0] = 0.5
    heard = through("reverb", click, room=room, mix=1.0)
    left = np.cumsum(heard[::-1].astype(np.float64) ** 2)[::-1]
    return float(np.flatnonzero(left > 1e-3 * left[0])[-1]) / RATE


def test_larger_rooms_ring_longer() -> None:
    small, medium, large = map(decay_s, ("small", "medium", "large"))
    assert 0.05 < small < medium < large < 2


def test_the_tail_is_kept_and_dies_away() -> None:
    before = tone(300, seconds=0.5, level=0.3)
    after = through("reverb", before, room="large")
    tail = after[len(before) :]
    assert len(tail) > RATE // 2
    assert np.abs(tail[: RATE // 20]).max() > 0.005
    assert np.abs(tail[-RATE // 50 :]).max() < np.abs(tail[: RATE // 20]).max() / 30


def test_a_dry_room_is_no_room() -> None:
    before = voice(150)
    np.testing.assert_allclose(through("reverb", before, mix=0.0)[: len(before)], before, atol=1e-5)


def test_podcast_eq_cuts_rumble_and_lifts_presence() -> None:
    assert -3 < gain_db("podcast_eq", 200) <= 0.5
    assert 2 <= gain_db("podcast_eq", 3000) <= 4
    assert gain_db("podcast_eq", 40) < -9


def test_podcast_eq_evens_out_the_volume() -> None:
    quiet, loud = (np.std(through("podcast_eq", tone(500, level=level))[RATE:]) for level in (0.05, 0.5))
    assert 2 < loud / quiet < 7, "before, ten times"


def test_robot_has_two_sidebands_of_each_frequency() -> None:
    assert spectrum_peaks(through("robot", tone(1000, level=0.5)), RATE, 2) == [
        pytest.approx(900, abs=2),
        pytest.approx(1100, abs=2),
    ]


@pytest.mark.parametrize(("name", "hz", "passes", "stops"), [("highpass", 300, 1000, 75), ("lowpass", 2000, 500, 8000)])
def test_filters_pass_one_side(name: str, hz: float, passes: float, stops: float) -> None:
    assert gain_db(name, passes, hz=hz) == pytest.approx(0, abs=0.5)
    assert gain_db(name, hz, hz=hz) == pytest.approx(-3, abs=0.3)
    assert gain_db(name, stops, hz=hz) < -20


def test_fades_begin_and_end_in_silence() -> None:
    after = through("fade", np.full(RATE, 0.5, np.float32), fade_in_s=0.2, fade_out_s=0.4)
    assert (after[0], after[-1]) == (0, 0)
    for at_s, level in ((0.1, 0.25), (0.3, 0.5), (0.59, 0.5), (0.8, 0.25)):
        assert after[round(at_s * RATE)] == pytest.approx(level, abs=0.01), at_s


def test_fades_longer_than_the_sound() -> None:
    after = through("fade", np.full(RATE // 10, 0.5, np.float32), fade_in_s=5, fade_out_s=5)
    assert len(after) == RATE // 10
    assert np.abs(after).max() < 0.02


def test_silence_goes_and_a_rest_of_it_stays() -> None:
    before = np.zeros(3 * RATE, np.float32)
    before[RATE : 2 * RATE] = 0.3
    before[RATE + RATE // 3 : RATE + RATE // 2] = 0
    after = through("trim", before, keep_ms=50)
    assert len(after) / RATE == pytest.approx(1.1, abs=0.01)
    np.testing.assert_array_equal(after, before[RATE - round(0.05 * RATE) :][: len(after)])
    assert len(through("trim", np.zeros(RATE, np.float32))) == 0


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(sorted(BY_NAME)),
    rate=st.sampled_from([8000, 16_000, 22_050, 24_000, 48_000]),
    level=st.sampled_from([0.0, 1e-4, 1.0]),
    frames=st.integers(0, 3000),
    seed=st.integers(0, 9),
)
def test_any_stream_at_any_rate_stays_in_range(name: str, rate: int, level: float, frames: int, seed: int) -> None:
    noise = (np.random.default_rng(seed).uniform(-1, 1, frames) * level).astype(np.float32)
    made = through(name, noise, rate)
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
    assert np.abs(made).max(initial=0) <= 1.0
