"""Numbers with intervals: medians, ratios, quantiles and slopes, each resampled for its 95 % interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

RESAMPLES = 2000
LOW, HIGH = 2.5, 97.5
"""Percentiles of the resampled values: the 95 % interval."""
SEED = 20_260_101

Array: TypeAlias = npt.NDArray[np.float64]


class Estimate(Struct, frozen=True, kw_only=True):
    """A number, its 95 % interval where it has one, and how many samples it came from."""

    value: float
    low: float | None = None
    high: float | None = None
    samples: int = 1


def single(value: float) -> Estimate:
    """Give a number that was read once."""
    return Estimate(value=float(value))


def median(samples: Sequence[float]) -> Estimate:
    """Give the median."""
    return _resampled(lambda columns: np.median(columns[0], axis=-1), samples)


def worst(samples: Sequence[float]) -> Estimate:
    """Give the largest; it has no interval."""
    return Estimate(value=max(samples), samples=len(samples))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """Give the ratio of the medians; pairs are resampled together, since they were measured side by side."""
    return _resampled(lambda c: np.median(c[0], axis=-1) / np.median(c[1], axis=-1), ours, theirs)


def rate_difference(ours: Sequence[float], theirs: Sequence[float], of: Sequence[float]) -> Estimate:
    """Give the difference of two error rates in percent points; utterances are resampled whole."""
    return _resampled(lambda c: 100 * (c[0].sum(axis=-1) - c[1].sum(axis=-1)) / c[2].sum(axis=-1), ours, theirs, of)


def quantile_difference(ours: Sequence[float], theirs: Sequence[float], at: float) -> Estimate:
    """Give the difference of the two quantiles ``at`` (0 to 1), resampling pairs."""
    return _resampled(lambda c: np.quantile(c[0], at, axis=-1) - np.quantile(c[1], at, axis=-1), ours, theirs)


def slope(values: Sequence[float]) -> Estimate:
    """Give the least-squares slope over 0, 1, 2...; points are resampled."""
    steps = np.arange(len(values), dtype=np.float64)
    return _resampled(_slopes, list(values), steps.tolist())


def _slopes(columns: Sequence[Array]) -> Array:
    y, x = columns
    x = x - x.mean(axis=-1, keepdims=True)
    spread = np.square(x).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((x * (y - y.mean(axis=-1, keepdims=True))).sum(axis=-1) / spread)


def _resampled(statistic: Callable[[Sequence[Array]], Array], *columns: Sequence[float]) -> Estimate:
    data = [np.asarray(column, np.float64) for column in columns]
    count = len(data[0])
    value = float(statistic([column[np.newaxis] for column in data])[0])
    if count < 3:
        return Estimate(value=value, samples=count)
    drawn = np.random.default_rng(SEED).integers(0, count, (RESAMPLES, count))
    spread = statistic([column[drawn] for column in data])
    low, high = np.nanpercentile(spread, [LOW, HIGH])
    return Estimate(value=value, low=float(low), high=float(high), samples=count)
