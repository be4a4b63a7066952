"""Samples keep their values in every form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from open_speech_core.audio import frames_of, read, to_wire, view
from open_speech_core.types import Audio, MappedFile, Samples

floats = arrays.arrays(np.float32, st.integers(0, 5000), elements=st.floats(-1, 1, width=32))


@given(samples=floats, rate=st.integers(1, 3000))
def test_wire_items_are_at_most_a_second_and_lose_nothing(samples: np.ndarray, rate: int) -> None:
    items = list(to_wire(Audio(samples=samples, rate=rate)))
    assert all(0 < len(item.data) <= 4 * rate and item.rate == rate for item in items)
    assert b"".join(item.data for item in items) == samples.astype("<f4").tobytes()


def test_a_view_of_wire_bytes_cannot_be_written_to() -> None:
    samples = view(np.ones(3, "<f4").tobytes())
    with pytest.raises(ValueError, match="read-only"):
        samples[0] = 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        list(to_wire(Audio(samples=np.array([0.0, bad], np.float32), rate=8000)))


def test_two_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        list(to_wire(Audio(samples=np.zeros((2, 3), np.float32), rate=8000)))


def test_samples_of_another_type_arrive_as_float32() -> None:
    (item,) = to_wire(Audio(samples=np.array([0.5, -0.25]), rate=8000))  # type: ignore[arg-type]
    assert view(item.data).tolist() == [0.5, -0.25]


@given(samples=floats, data=st.data())
def test_a_stretch_of_a_file_is_what_the_samples_are(
    samples: np.ndarray, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    offset = data.draw(st.integers(0, len(samples)))
    frames = data.draw(st.integers(0, len(samples) - offset))
    path: Path = tmp_path_factory.mktemp("audio") / "samples"
    samples.astype("<f4").tofile(path)
    mapped = MappedFile(path=str(path), offset=offset, frames=frames, rate=16_000)
    sent = Samples(data=samples[offset : offset + frames].astype("<f4").tobytes(), rate=16_000)
    assert frames_of(mapped) == frames_of(sent) == frames
    assert np.array_equal(read(mapped), read(sent))
