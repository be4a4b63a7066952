"""The engine: speech by Silero, a voice for each moment, speakers by clustering, turns by the best path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, pairwise
from typing import Any

import numpy as np
from msgspec import structs

from open_speech_core.audio import read
from open_speech_core.errors import InvalidRequest
from open_speech_core.providers import Context, DetectorEngine, DiarizerEngine, NoOptions
from open_speech_core.types import DiarizeRequest, Float32, KnownSpeaker, LoadSpec, SessionConfig, SpeakerTurn
from open_speech_silero.provider import MODEL as SILERO
from open_speech_silero.provider import SileroDetector

from .clustering import Labels, centres, matched, smoothest, unit
from .encoder import STEP_S, Matrix, VoiceEncoder, gain, power_spectra
from .provider import RATE, WEIGHTS, ResemblyzerOptions
from .regions import Region, regions

HEARD_S = 1.6
"""Length of the audio a voice is taken from; what the encoder was trained on."""
HOP_S = 0.2
"""Time between two voices, and so the grain of a change of speaker."""
FRAMES = round(HEARD_S / STEP_S)
BATCH = 64
BLOCK_S = 30.0
"""Audio that is heard between two looks at whether the caller has left."""
CHANGE = 0.3
"""What a change of speaker costs, in cosines: a stray moment or two makes none."""
JOIN_S = 0.5
"""Turns of one speaker with a shorter silence between them are one."""
ALIKE = 0.75
"""Cosine from which on a speaker is a known one."""


class ResemblyzerEngine(DiarizerEngine):
    """One encoder and one detector."""

    max_concurrency = 1
    compute_type = "float32"

    def __init__(self, options: ResemblyzerOptions, weights: bytes, threads: int) -> None:
        self._options = options
        self._encoder = VoiceEncoder(weights, threads)
        self._detector: DetectorEngine = SileroDetector(NoOptions(), WEIGHTS.parent).load(LoadSpec(model=SILERO))

    def warm_up(self) -> None:
        self._regions(np.zeros(RATE, np.float32), Context())
        self._encoder.voices(windows_of(power_spectra(np.zeros(2 * RATE, np.float32)), 2.0), Context())

    def diarize(self, request: DiarizeRequest, context: Context) -> Iterator[SpeakerTurn]:
        if request.audio.rate != RATE:
            raise InvalidRequest(f"the diarizer takes {RATE} Hz, not {request.audio.rate}")
        heard = self._heard(read(request.audio), context)
        if heard is None:
            return
        spoken, voices, owners = heard
        found = centres(
            voices,
            threshold=self._options.threshold,
            speakers=request.speakers,
            most=self._options.max_speakers,
        )
        context.check()
        path = smoothest(voices.astype(np.float64) @ found.T, CHANGE)
        yield from turns(path, owners, spoken, self._names(found, request.known, context))

    def _names(self, found: Matrix, known: Sequence[KnownSpeaker], context: Context) -> list[str]:
        """Name the speakers: known ones as the caller does, the others by numbers that are no names."""
        taken = {speaker.name for speaker in known}
        free = (label for label in map("SPEAKER_{:02}".format, count()) if label not in taken)
        labels = [next(free) for _ in found]
        references: list[Matrix] = []
        names: list[str] = []
        for speaker in known:
            if (heard := self._heard(read(speaker.audio), context)) is not None:
                references.append(heard[1].mean(axis=0))
                names.append(speaker.name)
        if references:
            for one, other in matched(found, unit(np.stack(references)), ALIKE).items():
                labels[one] = names[other]
        return labels

    def _heard(self, samples: Float32, context: Context) -> tuple[list[Region], Matrix, Labels] | None:
        """Give the speech, a voice for each hop of it, ``(n, 256)``, and the number of its region; None in silence."""
        spoken = self._regions(samples, context)
        if not spoken:
            return None
        level = gain(np.concatenate([_cut(samples, region) for region in spoken]))
        found: list[Matrix] = []
        owners: list[int] = []
        for number, region in enumerate(spoken):
            context.check()
            windows = windows_of(power_spectra(_cut(samples, region) * level), region.seconds)
            for first in range(0, len(windows), BATCH):
                found.append(self._encoder.voices(windows[first : first + BATCH], context))
            owners += [number] * len(windows)
            context.progress(region.end, spoken[-1].end)
        return spoken, np.concatenate(found), np.array(owners)

    def _regions(self, samples: Float32, context: Context) -> list[Region]:
        session = self._detector.open(SessionConfig(rate=RATE))
        heard: list[float] = []
        hop = 512
        block = int(BLOCK_S * RATE)
        for at in range(0, len(samples), block):
            context.check()
            for activity in session.feed(samples[at : at + block]):
                heard += activity.probabilities
                hop = activity.hop
            context.progress(at, len(samples))
        for activity in session.flush():
            heard += activity.probabilities
        return regions(heard, hop / RATE, len(samples) / RATE)


def windows_of(spectra: Matrix, seconds: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Give what is heard around each hop of a region, ``(hops, frames, 201)``; all of a short one for each of them."""
    hops = max(1, round(seconds / HOP_S))
    if len(spectra) <= FRAMES:
        return np.repeat(spectra[np.newaxis], hops, axis=0)
    middles = (np.arange(hops) + 0.5) * HOP_S / STEP_S
    firsts = np.clip(np.rint(middles - FRAMES / 2).astype(int), 0, len(spectra) - FRAMES)
    return np.stack([spectra[first : first + FRAMES] for first in firsts])


def turns(path: Labels, owners: Labels, spoken: Sequence[Region], names: Sequence[str]) -> Iterator[SpeakerTurn]:
    """Give turns in order: neighbouring hops of one speaker, over short silences too."""
    last: SpeakerTurn | None = None
    for turn in _pieces(path, owners, spoken, names):
        if last is not None and turn.speaker == last.speaker and turn.start - last.end < JOIN_S:
            last = structs.replace(last, end=turn.end)
            continue
        if last is not None:
            yield last
        last = turn
    if last is not None:
        yield last


def _pieces(path: Labels, owners: Labels, spoken: Sequence[Region], names: Sequence[str]) -> Iterator[SpeakerTurn]:
    for number, region in enumerate(spoken):
        own = path[owners == number]
        changes = (np.flatnonzero(np.diff(own)) + 1).tolist()
        for first, after in pairwise([0, *changes, len(own)]):
            # Hops share a region evenly: it is rarely a multiple of them.
            start = region.start + region.seconds * first / len(own)
            end = region.start + region.seconds * after / len(own)
            yield SpeakerTurn(start=start, end=end, speaker=names[int(own[first])])


def _cut(samples: Float32, region: Region) -> Float32:
    return samples[round(region.start * RATE) : round(region.end * RATE)]
