"""Eight clients in closed loops beside the best the raw library does with the same cores."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

from . import estimates
from .client import Answer, Client, Upload
from .clips import PARAGRAPH, duration_s
from .crowd import closed_loop
from .raw import REST_S, Engine, Rate, Raw, raw, raw_rate
from .results import Result, judged
from .stage import FULL_WINDOW, Stage

CLIENTS = 8
GRID = ((2, 1), (1, 2), (2, 2), (1, 1))
"""Processes and threads of the raw library; the short form tries the first two."""
LEAST = 0.95


def measure(stage: Stage) -> Iterator[Result]:
    """Measure both ways, the server with default settings; Whisper also with the library's full window."""
    upload = Upload.of(stage.clips.short)
    audio_s = duration_s(stage.clips.short)
    with stage.server() as server, stage.server(**FULL_WINDOW) as full:
        stage.warm(server)
        stage.warm(full)
        with stage.client(server) as client:
            # 16 bit samples at 24 kHz.
            spoken_s = len(client.speak(PARAGRAPH, "pcm").body) / 48_000
        heard = {
            "transcription": _closed(server.port, lambda client: client.transcribe(upload), audio_s),
            "transcription, full window": _closed(full.port, lambda client: client.transcribe(upload), audio_s),
        }
        yield from _compare(stage, "whisper", str(stage.clips.short), heard)
        spoken = {"speech": _closed(server.port, lambda client: client.speak(PARAGRAPH, "pcm"), spoken_s)}
        yield from _compare(stage, "piper", PARAGRAPH, spoken)


def _closed(port: int, act: Callable[[Client], Answer], audio_s: float) -> Callable[[int], float]:
    """Give a function that has each client ask so many times and gives audio seconds a second."""

    def run(times: int) -> float:
        elapsed_s, latencies = closed_loop(port, CLIENTS, times, act)
        return audio_s * len(latencies) / elapsed_s

    return run


def _compare(
    stage: Stage, engine: Engine, subject: str, ours: Mapping[str, Callable[[int], float]]
) -> Iterator[Result]:
    """Find the best raw arrangement, then measure it and ours in turns."""
    times = stage.rounds(10, 1)
    with ExitStack() as stack:
        tried = [_arranged(stack, engine, processes, threads) for processes, threads in grid_of(stage)]
        grid = [_first_rate(engines, subject, times + 1) for engines in tried]
        best = tried[max(range(len(grid)), key=lambda index: grid[index].audio_per_s)]
        share = CLIENTS * times // len(best)
        contest = {"raw": lambda: raw_rate(best, subject, share).audio_per_s}
        contest |= {name: functools.partial(run, times) for name, run in ours.items()}
        rates = _take_turns(contest, stage.rounds(5, 2))
    for name in ours:
        yield judged(
            f"throughput/{name}, {CLIENTS} clients",
            estimates.ratio(rates[name], rates["raw"]),
            "x",
            at_least=LEAST,
            notes=[
                f"{estimates.median(rates[name]).value:.1f} s of audio a second against "
                f"{estimates.median(rates['raw']).value:.1f}",
                f"raw, tried: {', '.join(map(str, grid))}; the best was measured again in turns with the server",
                f"{CLIENTS * times} requests a turn, first and last included",
            ],
        )


def _take_turns(contest: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Let one after another run, each round in the reverse order of the last; give their rates."""
    rates: dict[str, list[float]] = {name: [] for name in contest}
    for number in range(rounds):
        for name in contest if number % 2 else reversed(list(contest)):
            time.sleep(REST_S)
            rates[name].append(contest[name]())
    return rates


def grid_of(stage: Stage) -> tuple[tuple[int, int], ...]:
    return GRID[:2] if stage.quick else GRID


def _arranged(stack: ExitStack, engine: Engine, processes: int, threads: int) -> list[Raw]:
    return [stack.enter_context(raw(engine, threads)) for _ in range(processes)]


def _first_rate(engines: list[Raw], subject: str, times: int) -> Rate:
    """Try an arrangement after one call that warms it."""
    time.sleep(REST_S)
    raw_rate(engines, subject, 1)
    return raw_rate(engines, subject, times)
