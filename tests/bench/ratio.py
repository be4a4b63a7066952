"""A whole request beside the raw library call: the same audio, equal options, taken in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

from . import estimates
from .client import Client, Upload
from .clips import PARAGRAPH
from .raw import REST_S, best_threads, raw
from .results import Result, judged
from .stage import Stage

Contest = Mapping[str, Callable[[], float]]


def measure(stage: Stage) -> Iterator[Result]:
    """Measure both ways."""
    yield from _transcription(stage)
    yield from _speech(stage)


def take_turns(contest: Contest, rounds: int) -> dict[str, list[float]]:
    """Run contestants in turns, each round in the reverse order of the last; give their seconds.

    The first round is not counted. Only one runs at a time, after a rest.
    """
    taken: dict[str, list[float]] = {name: [] for name in contest}
    names = list(contest)
    for number in range(rounds + 1):
        for name in names if number % 2 else reversed(names):
            time.sleep(REST_S)
            seconds = contest[name]()
            if number:
                taken[name].append(seconds)
    return taken


def _transcription(stage: Stage) -> Iterator[Result]:
    clip = str(stage.clips.short)
    choice = best_threads("whisper", clip, stage.rounds(9, 3))
    upload = Upload.of(stage.clips.short)
    with ExitStack() as stack:
        library = stack.enter_context(raw("whisper", choice.threads))
        default = _client(stage, stack)
        equal = _client(stage, stack, OS_WORKER_THREADS=str(choice.threads)) if choice.threads > 1 else default
        taken = take_turns(
            {
                "raw": lambda: library.call(clip),
                "raw without VAD": lambda: library.call(clip, vad=False),
                "equal": lambda: equal.transcribe(upload).total_s,
                "default": lambda: default.transcribe(upload).total_s,
            },
            stage.rounds(30, 4),
        )
    notes = [
        f"{choice}; compared with {choice.threads}",
        "raw is given decoded samples, and leaves out silence first (vad_filter) as the server does",
        _medians(taken),
    ]
    yield _ratio("ratio/transcription 11 s, threads equal", taken, "equal", "raw", 1.05, notes)
    yield _ratio("ratio/transcription 11 s, one thread a replica", taken, "default", "raw", 1.20, notes)
    strict = ["beside the call without vad_filter, which the server's request cannot leave out"]
    yield _ratio(
        "ratio/transcription 11 s, threads equal, raw without VAD", taken, "equal", "raw without VAD", None, strict
    )


def _speech(stage: Stage) -> Iterator[Result]:
    choice = best_threads("piper", PARAGRAPH, stage.rounds(9, 3))
    with ExitStack() as stack:
        library = stack.enter_context(raw("piper", choice.threads))
        equal = _client(stage, stack, OS_WORKER_THREADS=str(choice.threads))
        contest: dict[str, Callable[[], float]] = {
            "raw": lambda: library.call(PARAGRAPH),
            "pcm": lambda: equal.speak(PARAGRAPH, "pcm").total_s,
            "mp3": lambda: equal.speak(PARAGRAPH, "mp3").total_s,
        }
        if choice.threads > 1:
            default = _client(stage, stack)
            contest["one thread"] = lambda: default.speak(PARAGRAPH, "pcm").total_s
        taken = take_turns(contest, stage.rounds(30, 4))
    notes = [
        f"{choice}; compared with {choice.threads}",
        "four sentences, noise off in both, so that lengths are equal; to the last byte",
        _medians(taken),
    ]
    yield _ratio("ratio/speech pcm, threads equal", taken, "pcm", "raw", 1.03, notes)
    yield _ratio("ratio/speech mp3, threads equal", taken, "mp3", "raw", 1.08, notes)
    if "one thread" in taken:
        yield _ratio("ratio/speech pcm, one thread a replica", taken, "one thread", "raw", None, notes)


def _client(stage: Stage, stack: ExitStack, **environ: str) -> Client:
    """Start a warm server and connect to it."""
    server = stack.enter_context(stage.server(**environ))
    stage.warm(server)
    return stack.enter_context(stage.client(server))


def _ratio(
    name: str, taken: Mapping[str, list[float]], ours: str, theirs: str, bound: float | None, notes: list[str]
) -> Result:
    return judged(name, estimates.ratio(taken[ours], taken[theirs]), "x", at_most=bound, notes=notes)


def _medians(taken: Mapping[str, list[float]]) -> str:
    said = ", ".join(f"{name} {estimates.median(seconds).value:.3f} s" for name, seconds in taken.items())
    return f"medians: {said}"
