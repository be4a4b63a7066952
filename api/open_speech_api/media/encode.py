"""Turns the samples of an engine into one stream of a container, as they come."""

from __future__ import annotations

import struct
from typing import Protocol

from open_speech_core.types import Chunk, EncodeConfig, Float32

from .pcm import to_int16
from .resample import EMPTY, RateChanger
from .sessions import Engines, Processing

CHUNK_BYTES = 1 << 20
"""Longest chunk, well under the longest frame between processes."""
UNKNOWN = 0xFFFFFFFF
"""Size in the header of a WAV whose length is not known yet."""


class Encoder(Protocol):
    """One stream of one format at one rate."""

    def feed(self, samples: Float32) -> bytes: ...
    def finish(self) -> bytes: ...
    def close(self) -> None: ...


class EncodeSession:
    """One response's encoder. The rate of what is fed may change; processors see each stretch at its own."""

    takes_rate = True

    def __init__(self, config: EncodeConfig, engines: Engines) -> None:
        self._config = config
        self._engines = engines
        self._encoder, rate = make_encoder(config)
        self._rates = RateChanger(rate)
        self._processing: Processing | None = None
        self._rate = 0
        self._finished = False

    def feed(self, samples: Float32, rate: int) -> list[Chunk]:
        """Take samples at ``rate``, give the bytes that are ready."""
        data = b""
        if self._processing is None or rate != self._rate:
            data = self._encoder.feed(self._end_processing())
            self._processing = Processing(self._engines, self._config.processors, rate, self._config.processor_options)
            self._rate = rate
        processed = self._processing.feed(samples, _go_on)
        return _chunks(data + self._encoder.feed(self._rates.feed(processed, rate)))

    def flush(self) -> list[Chunk]:
        """Give the tail; the stream is complete after it."""
        if self._finished:
            return []
        self._finished = True
        data = self._encoder.feed(self._end_processing()) + self._encoder.feed(self._rates.flush())
        return _chunks(data + self._encoder.finish())

    def close(self) -> None:
        """Free everything; bytes not yet given are gone."""
        if self._processing is not None:
            self._processing.close()
            self._processing = None
        self._encoder.close()

    def _end_processing(self) -> Float32:
        """Give the processors' tail at the stream's rate."""
        processing, self._processing = self._processing, None
        if processing is None:
            return EMPTY
        try:
            return self._rates.feed(processing.flush(), self._rate)
        finally:
            processing.close()


def make_encoder(config: EncodeConfig) -> tuple[Encoder, int]:
    """Give the encoder of a format and the rate it wants: the nearest to the asked that the codec takes."""
    if config.format == "pcm":
        return PcmEncoder(), config.rate
    if config.format == "wav":
        return WavEncoder(config.rate, config.streamed), config.rate
    from .compressed import CompressedEncoder, nearest_rate

    rate = nearest_rate(config.format, config.rate)
    return CompressedEncoder(config.format, rate, config.streamed), rate


class PcmEncoder:
    """Signed 16 bit little-endian, no header."""

    def feed(self, samples: Float32) -> bytes:
        return to_int16(samples).tobytes()

    def finish(self) -> bytes:
        return b""

    def close(self) -> None:
        """Hold nothing."""


class WavEncoder:
    """16 bit mono WAV: streamed with sizes that say unknown, else held back until they are known."""

    def __init__(self, rate: int, streamed: bool) -> None:
        self._rate = rate
        self._streamed = streamed
        self._parts = [wav_header(rate, None)] if streamed else []

    def feed(self, samples: Float32) -> bytes:
        self._parts.append(to_int16(samples).tobytes())
        return self._take() if self._streamed else b""

    def finish(self) -> bytes:
        if not self._streamed:
            self._parts.insert(0, wav_header(self._rate, sum(map(len, self._parts))))
        return self._take()

    def close(self) -> None:
        self._parts.clear()

    def _take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def wav_header(rate: int, data_bytes: int | None) -> bytes:
    """Give the 44 bytes before 16 bit mono PCM; None where the length is not known."""
    riff_bytes = UNKNOWN if data_bytes is None else data_bytes + 36
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", riff_bytes, b"WAVE"),
        *(b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16),
        *(b"data", UNKNOWN if data_bytes is None else data_bytes),
    )


def _chunks(data: bytes) -> list[Chunk]:
    return [Chunk(data=data[start : start + CHUNK_BYTES]) for start in range(0, len(data), CHUNK_BYTES)]


def _go_on() -> None:
    """A session is cancelled by being closed, between feeds."""
