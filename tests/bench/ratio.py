"""A whole request beside the raw library call: the same audio, equal options, taken in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

from . import estimates
from .client import Client, Upload
from .clips import PARAGRAPH, SENTENCE
from .raw import REST_S, Choice, best_threads, raw
from .results import Result, judged
from .stage import FULL_WINDOW, Stage

Contest = Mapping[str, Callable[[], float]]


def measure(stage: Stage) -> Iterator[Result]:
    """Measure both ways, each on a server with raw's best number of threads and on one with the default of one."""
    hearing = best_threads("whisper", str(stage.clips.short), stage.rounds(15, 2))
    speaking = best_threads("piper", PARAGRAPH, stage.rounds(15, 2))
    with ExitStack() as stack:
        clients: dict[int, Client] = {}
        for threads in sorted({1, hearing.threads, speaking.threads}):
            server = stack.enter_context(stage.server(OS_WORKER_THREADS=str(threads)))
            stage.warm(server)
            clients[threads] = stack.enter_context(stage.client(server))
        server = stack.enter_context(stage.server(OS_WORKER_THREADS=str(hearing.threads), **FULL_WINDOW))
        stage.warm(server)
        full = stack.enter_context(stage.client(server))
        yield from _transcription(stage, hearing, clients, full)
        yield from _minute(stage, hearing, clients[1])
        yield from _speech(stage, speaking, clients)


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


def _transcription(stage: Stage, choice: Choice, clients: Mapping[int, Client], full: Client) -> Iterator[Result]:
    clip = str(stage.clips.short)
    upload = Upload.of(stage.clips.short)
    with raw("whisper", choice.threads) as library:
        taken = take_turns(
            {
                "raw": lambda: library.call(clip),
                "raw without VAD": lambda: library.call(clip, vad=False),
                "equal": lambda: clients[choice.threads].transcribe(upload).total_s,
                "default": lambda: clients[1].transcribe(upload).total_s,
                "full window": lambda: full.transcribe(upload).total_s,
            },
            stage.rounds(30, 3),
        )
    notes = [
        f"{choice}; compared with {choice.threads}",
        "raw is given decoded samples, and leaves out silence first (vad_filter) as the server does",
        _medians(taken),
    ]
    whole = ["the server told to encode the full 30 s, as the library does: what remains is the server's own"]
    strict = ["beside the call without vad_filter, which the server does at every request"]
    yield _ratio("transcription 11 s, threads equal", taken, ("equal", "raw"), 1.05, notes)
    yield _ratio("transcription 11 s, one thread a replica", taken, ("default", "raw"), 1.20, notes)
    yield _ratio("transcription 11 s, threads equal, full window", taken, ("full window", "raw"), 1.05, whole)
    yield _ratio(
        "transcription 11 s, threads equal, raw without VAD", taken, ("equal", "raw without VAD"), None, strict
    )


def _minute(stage: Stage, choice: Choice, default: Client) -> Iterator[Result]:
    clip, upload = str(stage.clips.minute), Upload.of(stage.clips.minute)
    with raw("whisper", choice.threads) as library:
        taken = take_turns(
            {"raw": lambda: library.call(clip), "default": lambda: default.transcribe(upload).total_s},
            stage.rounds(20, 2),
        )
    notes = ["the server makes spans side by side on replicas of one thread", _medians(taken)]
    yield _ratio("transcription 60 s, one thread a replica", taken, ("default", "raw"), None, notes)


def _speech(stage: Stage, choice: Choice, clients: Mapping[int, Client]) -> Iterator[Result]:
    equal, default = clients[choice.threads], clients[1]
    with raw("piper", choice.threads) as library:
        taken = take_turns(
            {
                "raw": lambda: library.call(PARAGRAPH),
                "pcm": lambda: default.speak(PARAGRAPH, "pcm").total_s,
                "mp3": lambda: default.speak(PARAGRAPH, "mp3").total_s,
                "pcm, threads equal": lambda: equal.speak(PARAGRAPH, "pcm").total_s,
                "mp3, threads equal": lambda: equal.speak(PARAGRAPH, "mp3").total_s,
                "raw, a sentence": lambda: library.call(SENTENCE),
                "pcm, a sentence": lambda: equal.speak(SENTENCE, "pcm").total_s,
            },
            stage.rounds(30, 3),
        )
    notes = [
        f"{choice}; compared with {choice.threads}",
        "four sentences, noise off in both, so that lengths are equal; to the last byte; the server with default "
        "settings, which makes sentences side by side on replicas of one thread",
        _medians(taken),
    ]
    alone = ["where the library's threads take every core, HTTP and encoding have none left and add their whole time"]
    yield _ratio("speech pcm", taken, ("pcm", "raw"), 1.03, notes)
    yield _ratio("speech mp3", taken, ("mp3", "raw"), 1.08, notes)
    yield _ratio("speech pcm, one replica, threads equal", taken, ("pcm, threads equal", "raw"), None, alone)
    yield _ratio("speech mp3, one replica, threads equal", taken, ("mp3, threads equal", "raw"), None, alone)
    yield _ratio("speech pcm, one sentence, threads equal", taken, ("pcm, a sentence", "raw, a sentence"), None, alone)


def _ratio(
    what: str, taken: Mapping[str, list[float]], of: tuple[str, str], bound: float | None, notes: list[str]
) -> Result:
    ours, theirs = of
    estimate = estimates.ratio(taken[ours], taken[theirs])
    return judged(f"ratio/{what}", estimate, "x", at_most=bound, notes=notes)


def _medians(taken: Mapping[str, list[float]]) -> str:
    said = ", ".join(f"{name} {estimates.median(seconds).value:.3f} s" for name, seconds in taken.items())
    return f"medians: {said}"
