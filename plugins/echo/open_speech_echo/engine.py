"""The engines. Workers import this module at load; equal requests give equal items, bit for bit."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec
import numpy as np

from open_speech_core.audio import frames_of, read
from open_speech_core.providers import (
    Context,
    DetectorEngine,
    DetectorSession,
    DiarizerEngine,
    Engine,
    ProcessorEngine,
    ProcessorSession,
    SynthesizerEngine,
    TranscriberEngine,
)
from open_speech_core.types import (
    Activity,
    Audio,
    DiarizeRequest,
    Float32,
    Info,
    Segment,
    SessionConfig,
    SpeakerTurn,
    SynthesizeRequest,
    Timing,
    TokenLogprob,
    TranscribeRequest,
    Word,
)

from .faults import strike
from .options import CallOptions, EchoOptions, GainOptions, TranscribeOptions

SLOW_STEP_MS = 200.0
CHARACTER_S = 0.06
"""Length of the tone a character lasts at speed 1."""
BLOCKS_A_SECOND = 4
FREQUENCIES = {"sine": 440.0, "square": 220.0, "high": 880.0}
AMPLITUDE = 0.5
HOP = 512
THRESHOLD_RMS = 0.01
TURN_S = 2.0
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

ItemT = TypeVar("ItemT")


class _Echo(Engine):
    """Loads as slowly and as badly as it is told."""

    def __init__(self, options: EchoOptions) -> None:
        self.max_concurrency = options.max_concurrency
        self._rate = options.rate
        time.sleep(options.load_delay_s)
        if options.load_fail is not None:
            strike(options.load_fail)


def _paced(items: Iterable[ItemT], options: CallOptions, context: Context) -> Iterator[ItemT]:
    """Give ``items`` at the pace and with the fault that was asked for, until cancelled."""
    for number, item in enumerate(items):
        time.sleep(options.step_ms / 1000)
        if options.fail is not None and number == options.fail_at:
            strike(options.fail)
        context.check()
        yield item


class EchoTranscriberEngine(_Echo, TranscriberEngine):
    def __init__(self, options: EchoOptions, *, slow: bool) -> None:
        super().__init__(options)
        self._floor_ms = SLOW_STEP_MS if slow else 0.0

    def transcribe(self, request: TranscribeRequest, context: Context) -> Iterator[Info | Segment]:
        options: TranscribeOptions = request.options
        paced = msgspec.structs.replace(options, step_ms=max(options.step_ms, self._floor_ms))
        yield from _paced(self._items(request, options), paced, context)

    def _items(self, request: TranscribeRequest, options: TranscribeOptions) -> Iterator[Info | Segment]:
        yield Info(language=_language(request), language_probability=1.0)
        duration_s = frames_of(request.audio) / request.audio.rate
        said = _received(request) if options.echo_request else options.echo_text
        if said is not None and duration_s > 0:
            yield _segment(request, 0.0, duration_s, said)
            return
        for second in range(0 if said is not None else math.ceil(duration_s)):
            yield _segment(request, second, min(second + 1.0, duration_s), " " + _spell(second + 1))


def _language(request: TranscribeRequest) -> str:
    """Hear the asked language, else one of the allowed that depends on the length, else English."""
    if request.language is None and request.languages:
        return request.languages[frames_of(request.audio) // request.audio.rate % len(request.languages)]
    return request.language or "en"


def _spell(number: int) -> str:
    """Say a number digit by digit: 31 is "three one"."""
    return " ".join(DIGITS[int(digit)] for digit in str(number))


def _segment(request: TranscribeRequest, start: float, end: float, text: str) -> Segment:
    """Spread a text's words evenly over its time."""
    words = text.split()
    step = (end - start) / max(len(words), 1)
    edges = [start + step * number for number in range(len(words))] + [end]
    return Segment(
        start=start,
        end=end,
        text=text,
        tokens=tuple(text.encode()),
        temperature=request.temperature or 0.0,
        avg_logprob=-0.1,
        compression_ratio=1.0,
        no_speech_prob=0.0,
        words=tuple(
            Word(word=f" {word}", start=edges[number], end=edges[number + 1], probability=0.9)
            for number, word in enumerate(words)
        )
        if request.word_timestamps
        else None,
        logprobs=tuple(TokenLogprob(token=f" {word}", logprob=-0.1, bytes=tuple(f" {word}".encode())) for word in words)
        if request.logprobs
        else None,
    )


def _received(request: TranscribeRequest) -> str:
    samples = read(request.audio)
    return msgspec.json.encode(
        {
            "frames": len(samples),
            "rate": request.audio.rate,
            "rms": round(_rms(samples), 6),
            "peak": round(float(np.abs(samples).max(initial=0.0)), 6),
            "language": request.language,
            "languages": request.languages,
            "keywords": request.keywords,
            "prompt": request.prompt,
            "temperature": request.temperature,
            "task": request.task,
            "word_timestamps": request.word_timestamps,
            "logprobs": request.logprobs,
            "options": request.options,
        }
    ).decode()


def _rms(samples: Float32) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0


class EchoSynthesizerEngine(_Echo, SynthesizerEngine):
    """Exactly ``round(rate * 0.06 * len(text) / speed)`` frames, none for a blank text."""

    def synthesize(self, request: SynthesizeRequest, context: Context) -> Iterator[Audio | Timing]:
        yield from _paced(self._items(request), request.options, context)

    def _items(self, request: SynthesizeRequest) -> Iterator[Audio | Timing]:
        if not request.text.strip():
            return
        character_s = CHARACTER_S / request.speed
        frames = round(self._rate * character_s * len(request.text))
        block = self._rate // BLOCKS_A_SECOND
        for start in range(0, frames, block):
            times = np.arange(start, min(start + block, frames)) / self._rate
            yield Audio(samples=_tone(request.voice, times), rate=self._rate)
        at = 0
        for word in request.text.split():
            at = request.text.index(word, at)
            yield Timing(word=word, start=at * character_s, end=(at + len(word)) * character_s)
            at += len(word)


def _tone(voice: str, times: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Float32:
    wave = np.sin(2 * np.pi * FREQUENCIES[voice] * times)
    if voice == "square":
        wave = np.sign(wave)
    return (AMPLITUDE * wave).astype(np.float32)


class EchoDetectorEngine(_Echo, DetectorEngine):
    def open(self, config: SessionConfig) -> EchoDetectorSession:
        return EchoDetectorSession()


class EchoDetectorSession(DetectorSession):
    """A hop's probability is rms / (rms + 0.01), whatever pieces it came in."""

    def __init__(self) -> None:
        self._rest: Float32 = np.empty(0, np.float32)
        self._offset = 0

    def feed(self, samples: Float32) -> Iterator[Activity]:
        self._rest = np.concatenate([self._rest, samples])
        hops = len(self._rest) // HOP
        if hops == 0:
            return
        levels = [_rms(hop) for hop in self._rest[: hops * HOP].reshape(hops, HOP)]
        probabilities = tuple(level / (level + THRESHOLD_RMS) for level in levels)
        yield Activity(offset=self._offset, hop=HOP, probabilities=probabilities)
        self._rest = self._rest[hops * HOP :]
        self._offset += hops * HOP

    def flush(self) -> Iterator[Activity]:
        if len(self._rest):
            yield from self.feed(np.zeros(HOP - len(self._rest), np.float32))


class EchoDiarizerEngine(_Echo, DiarizerEngine):
    def diarize(self, request: DiarizeRequest, context: Context) -> Iterator[SpeakerTurn]:
        yield from _paced(self._turns(request), request.options, context)

    def _turns(self, request: DiarizeRequest) -> Iterator[SpeakerTurn]:
        duration_s = frames_of(request.audio) / request.audio.rate
        known = [speaker.name for speaker in request.known]
        for turn in range(math.ceil(duration_s / TURN_S)):
            number = turn % (request.speakers or 2)
            speaker = known[number] if number < len(known) else chr(ord("A") + number)
            yield SpeakerTurn(start=turn * TURN_S, end=min((turn + 1) * TURN_S, duration_s), speaker=speaker)


class EchoProcessorEngine(_Echo, ProcessorEngine):
    def open(self, config: SessionConfig) -> EchoProcessorSession:
        return EchoProcessorSession(config.options)


class EchoProcessorSession(ProcessorSession):
    def __init__(self, options: GainOptions) -> None:
        self._factor = np.float32(10 ** (options.gain_db / 20))

    def feed(self, samples: Float32) -> tuple[Float32, ...]:
        return (np.clip(samples * self._factor, -1.0, 1.0),)

    def flush(self) -> tuple[Float32, ...]:
        return ()
