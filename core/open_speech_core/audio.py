"""Samples between forms: arrays, bytes on the wire, stretches of a file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .types import Audio, AudioIn, Float32, MappedFile, Samples

SAMPLE_BYTES = 4
DTYPE = np.dtype("<f4")


def view(data: bytes) -> Float32:
    """View wire bytes as read-only float32 samples, shape ``(n,)``."""
    return np.frombuffer(data, DTYPE)


def read(audio: AudioIn) -> Float32:
    """Give the samples of a request's audio; a file's stretch is read, not mapped, so that it is freed at once."""
    if isinstance(audio, Samples):
        return view(audio.data)
    return np.fromfile(audio.path, DTYPE, audio.frames, offset=audio.offset * SAMPLE_BYTES)


def frames_of(audio: AudioIn) -> int:
    """Count the frames of a request's audio."""
    return audio.frames if isinstance(audio, MappedFile) else len(audio.data) // SAMPLE_BYTES


def to_wire(audio: Audio) -> Iterator[Samples]:
    """Cut an engine's audio into items of at most one second.

    Raises:
        ValueError: the samples are not one channel, or not finite.
    """
    samples = np.ascontiguousarray(audio.samples, DTYPE)
    if samples.ndim != 1:
        raise ValueError(f"audio has shape {samples.shape}, expected (n,)")
    if not np.isfinite(samples).all():
        raise ValueError("audio holds samples that are not finite")
    for start in range(0, len(samples), audio.rate):
        yield Samples(data=samples[start : start + audio.rate].tobytes(), rate=audio.rate)
