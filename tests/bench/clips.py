"""The audio that is sent, made once from real speech into the benchmark's own folder."""

from __future__ import annotations

import functools
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
import numpy.typing as npt
import soxr

RATE = 16_000
PAUSE_S = 0.8
SPARSE_S = 600
"""In the day-long file: the length of a stretch of silence with a minute of talk in it."""

Samples: TypeAlias = npt.NDArray[np.int16]

SENTENCE = "The birch canoe slid on the smooth planks of the old harbour."
"""One piece for the server as for Piper: its time to the first byte is that of one synthesis."""
PARAGRAPH = (
    f"{SENTENCE} Glue the sheet to the dark blue background. It is easy to tell the depth of a well. "
    "These days a chicken leg is a rare dish."
)
"""Four sentences, which the server and Piper split alike."""


class Clips:
    """Files of 16 kHz mono speech, made when first asked for."""

    def __init__(self, speech: Path, folder: Path) -> None:
        self._speech = speech
        self._folder = folder

    @functools.cached_property
    def short(self) -> Path:
        """Give 11 s of speech as WAV."""
        return self._wav("11s.wav", self._jfk)

    @functools.cached_property
    def minute(self) -> Path:
        """Give 60 s as WAV: sentences of two speakers with pauses between them."""
        return self._wav("60s.wav", self._talk(60))

    @functools.cached_property
    def ten_minutes(self) -> Path:
        """Give 600 s of talk as WAV."""
        return self._wav("600s.wav", self._talk(600))

    @functools.cached_property
    def hour(self) -> Path:
        """Give 3,600 s of talk as WAV: 115 MB."""
        return self._wav("3600s.wav", np.tile(self._talk(60), 60))

    def sparse(self, hours: float) -> Path:
        """Give a FLAC of ``hours``, silent but for a minute of talk in every ten."""
        path = self._folder / f"sparse-{hours:g}h.flac"
        if not path.is_file():
            stretch = np.zeros(SPARSE_S * RATE, np.int16)
            stretch[RATE : 61 * RATE] = self._talk(60)
            _write_flac(path, stretch, round(hours * 3600 / SPARSE_S))
        return path

    @functools.cached_property
    def _jfk(self) -> Samples:
        return read_speech(self._speech / "jfk.flac")[: 11 * RATE]

    def _talk(self, seconds: int) -> Samples:
        pause = np.zeros(round(PAUSE_S * RATE), np.int16)
        parts = [self._jfk, *map(read_speech, sorted(self._speech.glob("LJ*.wav")))]
        once = np.concatenate([piece for part in parts for piece in (part, pause)])
        return np.resize(once, seconds * RATE)

    def _wav(self, name: str, samples: Samples) -> Path:
        path = self._folder / name
        if not path.is_file():
            with wave.open(str(path), "wb") as file:
                file.setparams((1, 2, RATE, 0, "NONE", ""))
                file.writeframes(samples.tobytes())
        return path


def read_speech(path: Path) -> Samples:
    """Read any audio file as 16 kHz mono, 16 bit."""
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        mono = av.AudioResampler("fltp", "mono", rate)
        frames = [frame for packet in container.decode(audio=0) for frame in mono.resample(packet)]
    samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    at_rate: npt.NDArray[np.float32] = soxr.resample(samples, rate, RATE, "HQ")
    return np.clip(np.rint(at_rate * 32767), -32768, 32767).astype(np.int16)


def as_float(path: Path) -> npt.NDArray[np.float32]:
    """Read one of our WAV files as the recognisers want it."""
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / np.float32(32768)


def duration_s(path: Path) -> float:
    """Give the length of one of our WAV files."""
    with wave.open(str(path), "rb") as file:
        return file.getnframes() / file.getframerate()


def _write_flac(path: Path, stretch: Samples, times: int) -> None:
    with av.open(str(path), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=RATE, layout="mono", format="s16")
        for packet in _packets(stream, stretch, times):
            container.mux(packet)


def _packets(stream: av.AudioStream, stretch: Samples, times: int) -> Iterator[list[av.Packet[av.AudioStream]]]:
    for number in range(times):
        frame = av.AudioFrame.from_ndarray(stretch.reshape(1, -1), format="s16", layout="mono")
        frame.rate, frame.pts = RATE, number * len(stretch)
        yield stream.encode(frame)
    yield stream.encode(None)
