"""Utterances of every length beside the raw library call: how much faster, and whether the words are as right.

The plugin shows the encoder the speech and 8 s, not always 30 s; the shorter an utterance, the more that saves.
Both recognise the same files in turns, with equal options; each utterance is a pair.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from . import estimates
from .client import Client, Upload
from .corpus import Utterance, errors, human, synthetic
from .raw import REST_S, Raw, best_threads, raw
from .results import Result, judged
from .stage import Stage

LENGTHS_S: tuple[tuple[float, float, float], ...] = ((1, 4, 0.45), (4, 7, 0.55), (7, 12, 0.75), (12, 30, 1.0))
"""From, to, and the bound of the ratio."""


class Pair(Struct, frozen=True, kw_only=True):
    """One utterance recognised by both."""

    utterance: Utterance
    ours_s: float
    raw_s: float
    ours_errors: int
    raw_errors: int


def measure(stage: Stage) -> Iterator[Result]:
    """Measure human and synthetic speech, a pair an utterance."""
    choice = best_threads("whisper", str(stage.clips.short), stage.rounds(15, 2))
    corpora = {"human": human(stage.speech, stage.folder), "synthetic": synthetic(stage.folder)}
    pairs: dict[str, list[Pair]] = {}
    with stage.server() as server, stage.client(server) as client, raw("whisper", choice.threads) as library:
        stage.warm(server)
        for name, utterances in corpora.items():
            chosen = utterances[:: stage.rounds(1, 8)]
            pairs[name] = [_pair(utterance, client, library, turn) for turn, utterance in enumerate(chosen)]
    yield from _speed([pair for each in pairs.values() for pair in each], str(choice))
    for name, each in pairs.items():
        yield _difference(name, each)
    yield _again([pair.utterance for each in pairs.values() for pair in each])


def _pair(utterance: Utterance, client: Client, library: Raw, turn: int) -> Pair:
    """Let both recognise it, in changing order, after a rest."""
    upload = Upload.of(utterance.path, language="en")
    said: dict[str, tuple[float, str]] = {}
    for who in ("ours", "raw") if turn % 2 else ("raw", "ours"):
        time.sleep(REST_S)
        if who == "ours":
            answer = client.transcribe(upload)
            said[who] = answer.total_s, msgspec.json.decode(answer.body)["text"]
        else:
            took = library.calls(str(utterance.path), 1)
            said[who] = took.seconds[0], took.text
    return Pair(
        utterance=utterance,
        ours_s=said["ours"][0],
        raw_s=said["raw"][0],
        ours_errors=errors(utterance, said["ours"][1]),
        raw_errors=errors(utterance, said["raw"][1]),
    )


def _speed(pairs: Sequence[Pair], choice: str) -> Iterator[Result]:
    for low, high, bound in LENGTHS_S:
        within = [pair for pair in pairs if low <= pair.utterance.seconds < high]
        if not within:
            continue
        estimate = estimates.median([pair.ours_s / pair.raw_s for pair in within])
        seconds = [estimates.median([getattr(pair, who) for pair in within]).value for who in ("raw_s", "ours_s")]
        notes = [f"medians: raw {seconds[0]:.3f} s, ours {seconds[1]:.3f} s; {choice}"]
        what = f"utterances/{low:g} to {high:g} s, to the raw call"
        yield judged(what, estimate, "x", at_most=bound, notes=notes)


def _difference(name: str, pairs: Sequence[Pair]) -> Result:
    """Give the difference of the word error rates, in points of percent."""
    ours, theirs = ([float(getattr(pair, who)) for pair in pairs] for who in ("ours_errors", "raw_errors"))
    counts = [float(len(pair.utterance.words)) for pair in pairs]
    estimate = estimates.rate_difference(ours, theirs, counts)
    total = sum(counts)
    notes = [
        f"{len(pairs)} utterances, {total:.0f} words; errors: ours {sum(ours) / total:.2%}, "
        f"raw {sum(theirs) / total:.2%}; met if the interval holds 0, or ours makes fewer",
        *(["clips joined in several orders: the windows differ, the words return"] if name == "human" else []),
    ]
    result = judged(f"utterances/word errors, {name}, ours less raw", estimate, "points", notes=notes)
    holds = estimate.low is None or estimate.high is None or estimate.low <= 0 <= estimate.high
    return msgspec.structs.replace(result, met=holds or estimate.value < 0)


def _again(utterances: Sequence[Utterance]) -> Result:
    """Give the share of windows that the guard sent back to be decoded in full."""
    with raw("fitted", 1) as library:
        tooks = [library.calls(str(utterance.path), 1) for utterance in utterances]
    decoded, again = (sum(getattr(took, field) for took in tooks) for field in ("decoded", "again"))
    notes = [f"{again} of {decoded} windows"]
    return judged("utterances/decoded again in full", estimates.single(100 * again / decoded), "%", notes=notes)
