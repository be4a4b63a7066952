"""From voices to speakers: agglomerative clustering, then each stretch to the speaker it fits, with few changes."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage  # noqa: TID253
from scipy.optimize import linear_sum_assignment  # noqa: TID253
from scipy.spatial.distance import pdist  # noqa: TID253

from .encoder import Matrix

Labels = np.ndarray[tuple[int], np.dtype[np.int64]]
MOST_CLUSTERED = 1_500
"""Clustering takes memory by the square; of more voices, so many are clustered, evenly spread."""


STRAYS = 16
"""Groups of strays that are looked past where the number of speakers is known."""
FEWEST, ENOUGH = 6, 25
"""Voices a speaker must have: at least and at most."""
SHARE = 0.05
"""Between these, the share of all voices that makes a speaker."""


def centres(voices: Matrix, *, threshold: float, speakers: int | None, most: int) -> Matrix:
    """Give the mean voice of each speaker as unit vectors, ``(speakers, 256)``, who speaks most first."""
    chosen = voices[np.linspace(0, len(voices) - 1, min(len(voices), MOST_CLUSTERED)).astype(int)]
    # Few strange moments (a cough, two voices at once) are nobody of their own.
    enough = max(FEWEST, min(SHARE * len(chosen), ENOUGH * len(chosen) / len(voices)))
    labels = _clustered(chosen, threshold, speakers, enough)
    counts = np.bincount(labels)
    order = np.argsort(-counts, kind="stable")
    wanted = [order[0], *(label for label in order[1:] if counts[label] >= (1 if speakers else enough))]
    return unit(np.stack([chosen[labels == label].mean(axis=0) for label in wanted[: speakers or most]]))


def _clustered(voices: Matrix, threshold: float, speakers: int | None, enough: float) -> Labels:
    """Number the groups from 0. With ``speakers`` known, cut as low as gives so many of ``enough`` voices each."""
    if len(voices) == 1:
        return np.zeros(1, np.int64)
    # A voice of zeros has no direction, and no likeness to any.
    tree = linkage(np.nan_to_num(pdist(voices, "cosine"), nan=1.0), "average")
    if speakers is None:
        return np.asarray(fcluster(tree, threshold, "distance") - 1, np.int64)
    plain: Labels | None = None
    for groups in range(speakers, speakers + STRAYS + 1):
        labels = np.asarray(fcluster(tree, groups, "maxclust") - 1, np.int64)
        plain = labels if plain is None else plain
        if np.count_nonzero(np.bincount(labels) >= enough) >= speakers:
            return labels
    assert plain is not None
    return plain


def smoothest(scores: np.ndarray[Any, np.dtype[np.float64]], change: float) -> Labels:
    """Give the best path through ``(n, speakers)`` scores when each change of speaker costs ``change`` (Viterbi)."""
    best = scores[0].copy()
    came = np.zeros(scores.shape, np.int64)
    for number in range(1, len(scores)):
        leader = int(np.argmax(best))
        stay = best >= best[leader] - change
        came[number] = np.where(stay, np.arange(len(best)), leader)
        best = np.where(stay, best, best[leader] - change) + scores[number]
    path = np.zeros(len(scores), np.int64)
    path[-1] = int(np.argmax(best))
    for number in range(len(scores) - 1, 0, -1):
        path[number - 1] = came[number, path[number]]
    return path


def matched(found: Matrix, known: Matrix, least: float) -> dict[int, int]:
    """Match speakers with known voices, each at most once, where they are at least ``least`` alike (cosine)."""
    alike = found @ known.T
    pairs = zip(*linear_sum_assignment(-alike), strict=True)
    return {int(one): int(other) for one, other in pairs if alike[one, other] >= least}


def unit(vectors: Matrix) -> Matrix:
    """Give vectors of length one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.float32(1e-9)), np.float32)
