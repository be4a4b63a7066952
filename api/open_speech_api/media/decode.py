"""Decodes an uploaded file to mono float32 at one rate and says, while it goes on, what to recognise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing

import numpy as np

from open_speech_core.errors import InvalidAudio
from open_speech_core.providers import Context
from open_speech_core.types import Activity, Decoded, DecodeRequest, Float32, Span

from .resample import RateChanger
from .sessions import Detection, Engines, Processing
from .source import AudioFile
from .spans import Loudness, SpanCutter, SpeechRule
from .target import SampleFile


def decode(request: DecodeRequest, engines: Engines, context: Context) -> Iterator[Span | Decoded]:
    """Yield spans as soon as they are certain and on disk, then ``Decoded``.

    Raises:
        InvalidAudio: there is no audio to decode, or more than ``request.max_audio_s``.
        StorageFull: the samples do not fit on the disk.
        Cancelled: the caller has left; seen at every packet and at every second of processing.
    """
    with ExitStack() as stack:
        source = stack.enter_context(closing(AudioFile(request.path)))
        if source.stated_s > request.max_audio_s:
            raise too_long(request.max_audio_s)
        decoding = Decoding(request, engines, context, stack, source.stated_s)
        for samples, rate in source.blocks(context.check):
            yield from decoding.feed(samples, rate)
        yield from decoding.finish()


def too_long(max_audio_s: float) -> InvalidAudio:
    message = f"the audio is longer than {max_audio_s:g} s, the most this server takes"
    return InvalidAudio(message, param="file")


class Decoding:
    """The way of the samples: one rate, processors, the file, the detector, spans."""

    def __init__(
        self, request: DecodeRequest, engines: Engines, context: Context, stack: ExitStack, stated_s: float
    ) -> None:
        self._context = context
        self._max_audio_s = request.max_audio_s
        self._stated_s = stated_s
        self._taken_s = 0.0
        self._rate = request.rate
        self._rates = RateChanger(request.rate)
        processing = Processing(engines, request.processors, request.rate, request.processor_options)
        self._processing = stack.enter_context(closing(processing))
        self._target = stack.enter_context(closing(SampleFile(request.target, int(stated_s * request.rate))))
        self._detection = None
        self._loudness = None
        rule = None
        if request.detector is not None:
            self._detection = stack.enter_context(closing(Detection(engines, request.detector, request.rate)))
            rule = SpeechRule(
                threshold=request.threshold,
                min_speech_ms=request.min_speech_ms,
                min_silence_ms=request.min_silence_ms,
                prefix_ms=request.prefix_ms,
            )
        else:
            self._loudness = Loudness(request.rate)
        self._cutter = SpanCutter(request.rate, request.span_s, rule)

    def feed(self, samples: Float32, rate: int) -> Iterator[Span]:
        """Take a block as it was decoded."""
        self._taken_s += len(samples) / rate
        if self._taken_s > self._max_audio_s:
            raise too_long(self._max_audio_s)
        at_rate = _clipped(self._rates.feed(samples, rate))
        yield from self._add(self._processing.feed(at_rate, self._context.check))
        self._context.progress(self._taken_s, max(self._stated_s, self._taken_s) if self._stated_s else 0.0)

    def finish(self) -> Iterator[Span | Decoded]:
        """Take the tails of all through what follows them."""
        tail = self._processing.feed(_clipped(self._rates.flush()), self._context.check)
        yield from self._add(tail)
        yield from self._add(self._processing.flush())
        if self._target.frames == 0:
            raise InvalidAudio("the file holds no audio that can be decoded", param="file")
        if self._detection is not None:
            yield from self._cut(self._detection.flush())
        elif self._loudness is not None:
            yield from self._cut(self._loudness.flush())
        frames = self._target.frames
        yield from self._cutter.finish(frames)
        speech_s = self._cutter.speech_s if self._detection is not None else frames / self._rate
        yield Decoded(frames=frames, rate=self._rate, speech_s=speech_s)

    def _add(self, samples: Float32) -> Iterator[Span]:
        if not len(samples):
            return
        self._target.write(samples)
        self._context.check()
        if self._detection is not None:
            yield from self._cut(self._detection.feed(samples))
        elif self._loudness is not None:
            yield from self._cut(self._loudness.feed(samples))

    def _cut(self, activities: Iterable[Activity]) -> Iterator[Span]:
        rate = self._detection.rate if self._detection is not None else self._rate
        for activity in activities:
            yield from self._cutter.feed(activity, rate)


def _clipped(samples: Float32) -> Float32:
    """Undo the overshoot of a resampler."""
    return np.clip(samples, -1.0, 1.0)
