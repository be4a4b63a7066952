"""Encoders of PyAV: mp3, Ogg Opus, ADTS AAC, FLAC. One container a stream."""

# pyright: reportUnknownMemberType=false
from __future__ import annotations

import io
from fractions import Fraction
from typing import Literal, TypeAlias, cast

import av  # noqa: TID253 - only media workers import this module
from av.audio import AudioStream  # noqa: TID253
from av.container import OutputContainer  # noqa: TID253
from msgspec import Struct

from open_speech_core.types import Float32

from .pcm import to_int16

Compressed: TypeAlias = Literal["mp3", "opus", "aac", "flac"]

MPEG_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
AAC_RATES = (7_350, *MPEG_RATES, 64_000, 88_200, 96_000)


class Codec(Struct, frozen=True, kw_only=True):
    """How one format is made."""

    muxer: str
    encoder: str
    sample_format: Literal["flt", "fltp", "s16"]
    bit_rate: int = 0
    rates: tuple[int, ...] = ()
    """Rates it takes; empty for any."""
    options: dict[str, str] = {}
    """Options of the muxer."""
    encoder_options: dict[str, str] = {}


CODECS: dict[Compressed, Codec] = {
    "mp3": Codec(
        muxer="mp3",
        encoder="libmp3lame",
        sample_format="fltp",
        bit_rate=128_000,
        rates=MPEG_RATES,
        # A Xing header would be written first and patched at the end, by when it has long left. At 128 kbit/s one
        # channel has bits to spare, so the search may be short: 3.9 ms a second instead of 6.6.
        options={"write_xing": "0", "id3v2_version": "0"},
        encoder_options={"compression_level": "7"},
    ),
    "opus": Codec(
        muxer="ogg",
        encoder="libopus",
        sample_format="flt",
        bit_rate=64_000,
        rates=(48_000,),
        # In microseconds: FFmpeg would hold a page for a second.
        options={"page_duration": "100000"},
    ),
    "aac": Codec(muxer="adts", encoder="aac", sample_format="fltp", bit_rate=128_000, rates=AAC_RATES),
    "flac": Codec(muxer="flac", encoder="flac", sample_format="s16"),
}
MOST_BITS_PER_SAMPLE = 6
"""AAC frames hold at most 6144 bits for 1024 samples."""


def nearest_rate(format: Compressed, rate: int) -> int:
    """Give the rate the codec takes that is nearest to ``rate``, the higher of two."""
    return min(CODECS[format].rates or (rate,), key=lambda known: (abs(known - rate), -known))


class CompressedEncoder:
    """One stream of one codec, mono at ``rate``, which is one the codec takes.

    Streamed, bytes leave with every feed and headers stay as first written. Otherwise FLAC is held back until
    its header has the true length.
    """

    def __init__(self, format: Compressed, rate: int, streamed: bool) -> None:
        codec = CODECS[format]
        self._format = codec.sample_format
        self._rate = rate
        self._frames = 0
        self._held = format == "flac" and not streamed
        self._sink = _Patched() if self._held else _Pipe()
        container = av.open(
            self._sink,
            "w",
            format=codec.muxer,
            options={"fflags": "+bitexact+flush_packets", **codec.options},
        )
        stream = container.add_stream(
            codec.encoder,
            rate,
            options=codec.encoder_options,
            layout="mono",
            format=codec.sample_format,
            bit_rate=_bit_rate(codec, rate),
        )
        container.start_encoding()
        self._open: tuple[OutputContainer, AudioStream] | None = (container, cast("AudioStream", stream))

    def feed(self, samples: Float32) -> bytes:
        """Take samples, give the bytes that are ready."""
        if self._open is None or not len(samples):
            return b""
        container, stream = self._open
        array = to_int16(samples) if self._format == "s16" else samples
        frame = av.AudioFrame.from_ndarray(array.reshape(1, -1), format=self._format, layout="mono")
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._frames
        self._frames += len(samples)
        container.mux(stream.encode(frame))
        return b"" if self._held else self._sink.take()

    def finish(self) -> bytes:
        """Give the tail: what the codec held back, and the container's end."""
        if self._open is None:
            return b""
        container, stream = self._open
        container.mux(stream.encode(None))
        self.close()
        return self._sink.take()

    def close(self) -> None:
        """Free codec and container."""
        opened, self._open = self._open, None
        if opened is not None:
            opened[0].close()


class _Pipe:
    """Where a muxer writes a stream; it cannot seek back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(data)
        return len(data)

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken


class _Patched(io.BytesIO):
    """Where a muxer writes a file whose header it patches at the end."""

    def take(self) -> bytes:
        return self.getvalue()


def _bit_rate(codec: Codec, rate: int) -> int:
    return min(codec.bit_rate, MOST_BITS_PER_SAMPLE * rate)
