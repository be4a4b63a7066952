"""Weights that are a file of the plugin's own package."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .errors import LoadFailed, WeightsMissing


def read_weights(file: Path, *, sha256: str, id: str, distribution: str) -> bytes:
    """Read the weights of the model ``id``.

    Raises ``WeightsMissing`` or ``LoadFailed`` when they are not there, or not those that were shipped.
    """
    try:
        weights = file.read_bytes()
    except OSError as error:
        raise WeightsMissing(f"the weights of {id!r} are missing: install {distribution} again") from error
    if hashlib.sha256(weights).hexdigest() != sha256:
        raise LoadFailed(f"the weights of {id!r} are damaged: install {distribution} again")
    return weights
