"""Between float32 and 16 bit PCM, and between rates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from open_speech_api.media.pcm import from_int16, to_int16
from open_speech_api.media.resample import RateChanger, Resampler


@given(hnp.arrays(np.dtype("<i2"), st.integers(0, 300)))
def test_pcm_survives_the_round_trip_exactly(pcm: np.ndarray) -> None:
    assert np.array_equal(to_int16(from_int16(pcm)), pcm)


@given(hnp.arrays(np.float32, st.integers(0, 300), elements=st.floats(-1, 1, width=32)))
def test_rounding_is_to_the_nearest_step(samples: np.ndarray) -> None:
    error = np.abs(from_int16(to_int16(samples)) - samples)
    assert np.all(error <= np.where(samples > 32767 / 32768, 1, 0.5) / 32768)


@given(hnp.arrays(np.float32, st.integers(1, 50), elements=st.floats(width=32, allow_nan=False)))
def test_beyond_full_scale_is_clipped_never_wrapped(samples: np.ndarray) -> None:
    made = to_int16(samples)
    assert np.all(made[samples >= 1] == 32767)
    assert np.all(made[samples <= -1] == -32768)


def test_halves_go_to_the_nearest_even_step() -> None:
    samples = (np.array([0.4, 0.6, -0.4, -0.6, 1.5, 2.5]) / 32768).astype(np.float32)
    assert to_int16(samples).tolist() == [0, 1, 0, -1, 2, 2]


@given(st.lists(st.integers(0, 700), max_size=8))
def test_equal_rates_pass_through_bit_exact(sizes: list[int]) -> None:
    samples = np.random.default_rng(0).standard_normal(sum(sizes)).astype(np.float32)
    resampler = Resampler(16_000, 16_000)
    pieces = np.split(samples, np.cumsum(sizes)[:-1]) if sizes else []
    made = [resampler.feed(piece) for piece in pieces] + [resampler.flush()]
    assert np.array_equal(np.concatenate(made), samples)


@given(
    st.lists(st.integers(0, 3000), min_size=1, max_size=6),
    st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100, 48_000]),
    st.sampled_from([8_000, 16_000, 24_000, 48_000]),
)
def test_resampling_in_any_pieces_keeps_length_and_samples(sizes: list[int], source: int, target: int) -> None:
    samples = np.sin(np.arange(sum(sizes)) * 0.1).astype(np.float32)
    whole = Resampler(source, target)
    expected = np.concatenate([whole.feed(samples), whole.flush()])
    pieces = Resampler(source, target)
    made = [pieces.feed(piece) for piece in np.split(samples, np.cumsum(sizes)[:-1])] + [pieces.flush()]
    assert abs(len(expected) - len(samples) * target / source) <= 1
    np.testing.assert_allclose(np.concatenate(made), expected, atol=1e-5)


@pytest.mark.parametrize("rates", [(22_050, 24_000), (24_000, 16_000, 24_000)])
def test_a_change_of_rate_loses_nothing(rates: tuple[int, ...]) -> None:
    changer = RateChanger(24_000)
    made = [changer.feed(np.ones(rate, np.float32), rate) for rate in rates] + [changer.flush()]
    assert sum(map(len, made)) == 24_000 * len(rates)
