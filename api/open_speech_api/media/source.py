"""Reads an uploaded file, of whatever format its bytes show, as blocks of mono float32.

The bytes are a stranger's. Only demuxers that hold one recording are allowed, and FFmpeg is given bytes, not
a path, with every protocol forbidden: a playlist cannot make it open another file or the network.
"""

# pyright: reportUnknownMemberType=false
from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, TypeAlias, cast

import av  # noqa: TID253 - only media workers import this module
import numpy as np
from av.audio.codeccontext import AudioCodecContext  # noqa: TID253
from av.container import InputContainer  # noqa: TID253
from av.error import FFmpegError  # noqa: TID253
from msgspec import Struct

from open_speech_core.errors import InvalidAudio
from open_speech_core.types import Float32

from .sessions import Check

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

FORMATS = (
    "wav,w64,aiff,au,caf,flac,mp3,aac,ac3,eac3,amr,ogg,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,avi,flv,"
    "mpeg,mpegts,wv,ape,tta,dsf"
)
ESTIMATING = frozenset({"mp3", "aac", "ac3", "eac3", "amr", "mpeg", "mpegts", "flv"})
"""Formats whose duration FFmpeg may have guessed from the first bit rates."""
WAV_PROBE_BYTES = "4096"
"""A PCM header says all; FFmpeg would search the first 64 kB for hidden DTS (2 ms)."""
BLOCK_BYTES = 4 << 20
BLOCK_S = 30
"""A block holds at most about this much, so that memory does not grow with length."""
FEWEST_HZ, MOST_HZ = 1_000, 768_000
READ_ERRORS = 16
"""So many failed reads in a row end the file."""
SAFE_PLANES = 7
"""PyAV walks past the end of a frame's eight plane pointers when all eight are used."""

SCALES = {"u8": 128.0, "s16": 32768.0, "s32": 2147483648.0, "flt": 1.0, "dbl": 1.0}
DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8"}
WEIGHTS = {"FC": 1.0, "LFE": 0.0, "LFE2": 0.0, "SL": 0.5, "SR": 0.5, "BL": 0.5, "BR": 0.5, "BC": 0.5}
"""Shares of named channels in the mono mix, others 0.707, after ITU-R BS.775: speech is in the centre."""


class FrameShape(Struct, frozen=True, kw_only=True):
    """How the samples of a frame lie."""

    format: str
    planar: bool
    layout: str
    channels: int
    rate: int

    @classmethod
    def of(cls, frame: av.AudioFrame) -> FrameShape:
        return cls(
            format=frame.format.name.removesuffix("p"),
            planar=frame.format.is_planar,
            layout=frame.layout.name,
            channels=frame.layout.nb_channels,
            rate=frame.sample_rate,
        )

    @property
    def readable(self) -> bool:
        """PyAV can give these samples as arrays."""
        return self.format in DTYPES and (not self.planar or self.channels <= SAFE_PLANES)


class AudioFile:
    """One uploaded file; read once, by one thread.

    Raises:
        InvalidAudio: it is empty, no audio, or has no audio track.
    """

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by close()
        try:
            self._container = _open(self._file)
        except BaseException:
            self._file.close()
            raise
        streams = self._container.streams.audio
        codec = cast("AudioCodecContext | None", streams[0].codec_context) if streams else None
        if codec is None:
            self.close()
            raise InvalidAudio(_no_track(bool(streams)), param="file")
        codec.thread_count = 1
        _forget_odd_order(codec)
        self._stream = streams[0]
        self._codec = codec
        self.stated_s = self._stated()
        """Duration the container states, in seconds; 0 where it states none. Not to be trusted."""

    def close(self) -> None:
        self._container.close()
        self._file.close()

    def blocks(self, check: Check) -> Iterator[tuple[Float32, int]]:
        """Give mono samples in [-1, 1] with their rate, which may change.

        Packets that cannot be decoded are skipped. ``check`` is called at every packet.
        """
        parts: list[Array] = []
        shape: FrameShape | None = None
        shares: list[float] = []
        size = frames = 0
        for frame in self._frames(check):
            of = FrameShape.of(frame)
            if shape is not None and (of != shape or size >= BLOCK_BYTES or frames >= BLOCK_S * shape.rate):
                yield mono(parts, shape, shares), shape.rate
                parts, size, frames = [], 0, 0
            if of != shape:
                shape, shares = of, _shares(frame)
            part = _samples(frame, of)
            parts.append(part)
            size += part.nbytes
            frames += frame.samples
        if shape is not None:
            yield mono(parts, shape, shares), shape.rate

    def _stated(self) -> float:
        if ESTIMATING & set(self._container.format.name.split(",")):
            return 0.0
        if self._stream.duration and self._stream.time_base:
            return float(self._stream.duration * self._stream.time_base)
        return (self._container.duration or 0) / av.time_base

    def _frames(self, check: Check) -> Iterator[av.AudioFrame]:
        packer: av.AudioResampler | None = None
        packed: FrameShape | None = None
        for frame in self._decoded(check):
            of = FrameShape.of(frame)
            if not FEWEST_HZ <= of.rate <= MOST_HZ:
                raise InvalidAudio(
                    f"the file has {of.rate} Hz; rates from {FEWEST_HZ} to {MOST_HZ} Hz are taken",
                    param="file",
                )
            if of.readable:
                yield frame
                continue
            if packer is None or packed != of:
                packer, packed = av.AudioResampler("flt", frame.layout, of.rate), of
            yield from packer.resample(frame)

    def _decoded(self, check: Check) -> Iterator[av.AudioFrame]:
        for packet in self._packets():
            check()
            try:
                frames = self._codec.decode(packet)
            except FFmpegError:
                continue
            yield from frames

    def _packets(self) -> Iterator[av.Packet[Any] | None]:
        """Give the packets, then None, which empties the decoder; goes on after errors while any are read."""
        failures = 0
        while failures < READ_ERRORS:
            try:
                for packet in self._container.demux(self._stream):
                    failures = 0
                    yield packet
                return
            except FFmpegError:
                failures += 1
        yield None


def _forget_odd_order(codec: AudioCodecContext) -> None:
    """Replace a layout that has an order of its own by one of as many unnamed channels.

    PyAV frees such a layout once for every object that shows it, which ends the process. It is looked at
    once here, and replaced before that one object goes.
    """
    layout = codec.layout
    if "(" in layout.name:
        codec.layout = f"{layout.nb_channels} channels"


class _Nameless:
    """Bytes of a file without its name, which would have a say in the format."""

    def __init__(self, file: Any) -> None:
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell


def _open(file: Any) -> InputContainer:
    if os.fstat(file.fileno()).st_size == 0:
        raise InvalidAudio("the file is empty", param="file")
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
    head = file.read(12)
    file.seek(0)
    if head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE":
        options["probesize"] = WAV_PROBE_BYTES
    try:
        return av.open(_Nameless(file), "r", options=options, metadata_errors="replace")
    except FFmpegError as error:
        raise InvalidAudio(
            "the file is not audio that can be read; flac, mp3, mp4, m4a, ogg, wav and webm are", param="file"
        ) from error


def _no_track(has_stream: bool) -> str:
    return "the codec of the file's audio is not known" if has_stream else "the file has no audio track"


def _samples(frame: av.AudioFrame, shape: FrameShape) -> Array:
    """View a frame's samples: ``(channels, n)`` of a planar one, ``(n * channels,)`` of a packed one."""
    count = frame.samples * (1 if shape.planar else shape.channels)
    planes = [_array(plane, DTYPES[shape.format], count) for plane in frame.planes]
    return planes[0] if len(planes) == 1 else np.stack(planes)


def _array(plane: Any, dtype: str, count: int) -> Array:
    return np.frombuffer(plane, dtype, count)


def mono(parts: list[Array], shape: FrameShape, shares: list[float]) -> Float32:
    """Join parts of one shape and mix their channels down to float32 in [-1, 1].

    Samples that are no numbers become 0.
    """
    if shape.channels == 1:
        mixed = np.concatenate(parts).astype(np.float32)
    else:
        joined = np.concatenate(parts, axis=-1)
        channels = joined if shape.planar else joined.reshape(-1, shape.channels).T
        mixed = _mix(channels, shares)
    if shape.format == "u8":
        mixed -= 128.0
    mixed *= np.float32(1 / SCALES[shape.format])
    if shape.format in ("flt", "dbl"):
        np.nan_to_num(mixed, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        np.clip(mixed, -1.0, 1.0, out=mixed)
    return mixed


def _mix(channels: Array, shares: list[float]) -> Float32:
    mixed = np.zeros(channels.shape[1], np.float32)
    with np.errstate(all="ignore"):
        for channel, share in zip(channels, shares, strict=True):
            if share:
                mixed += channel.astype(np.float32) * np.float32(share)
    return mixed


def _shares(frame: av.AudioFrame) -> list[float]:
    """Give what each channel has in the mono mix; together one."""
    raw = [WEIGHTS.get(channel.name, 0.707) for channel in frame.layout.channels]
    if not any(raw):
        raw = [1.0] * len(raw)
    return [weight / sum(raw) for weight in raw]
