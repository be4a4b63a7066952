"""Eight clients in closed loops beside the best the raw library does with the same cores."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from . import estimates
from .client import Answer, Client, Upload
from .clips import PARAGRAPH, duration_s
from .crowd import closed_loop
from .raw import REST_S, Engine, Rate, Raw, raw, raw_rate
from .results import Result, judged
from .stage import Stage

CLIENTS = 8
GRID = ((2, 1), (1, 2), (2, 2), (1, 1))
"""Processes and threads of the raw library; the short form tries the first two."""
LEAST = 0.95


def measure(stage: Stage) -> Iterator[Result]:
    """Measure both ways, the server with default settings."""
    upload = Upload.of(stage.clips.short)
    with stage.server() as server:
        stage.warm(server)
        with stage.client(server) as client:
            # 16 bit samples at 24 kHz.
            spoken_s = (len(client.speak(PARAGRAPH, "pcm").body)) / 48_000
        yield _compare(
            stage,
            "transcription",
            "whisper",
            str(stage.clips.short),
            _closed(server.port, lambda client: client.transcribe(upload), duration_s(stage.clips.short)),
        )
        yield _compare(
            stage,
            "speech",
            "piper",
            PARAGRAPH,
            _closed(server.port, lambda client: client.speak(PARAGRAPH, "pcm"), spoken_s),
        )


def _closed(port: int, act: Callable[[Client], Answer], audio_s: float) -> Callable[[int], float]:
    """Give a function that has each client ask so many times and gives audio seconds a second."""

    def run(times: int) -> float:
        elapsed_s, latencies = closed_loop(port, CLIENTS, times, act)
        return audio_s * len(latencies) / elapsed_s

    return run


def _compare(stage: Stage, what: str, engine: Engine, subject: str, ours: Callable[[int], float]) -> Result:
    """Find the best raw arrangement, then measure it and the server in turns."""
    times, rounds = stage.rounds(5, 1), stage.rounds(5, 2)
    with ExitStack() as stack:
        tried = [_arranged(stack, engine, processes, threads) for processes, threads in grid_of(stage)]
        grid = [_first_rate(engines, subject, times + 1) for engines in tried]
        best = max(range(len(grid)), key=lambda index: grid[index].audio_per_s)
        raw_rates: list[float] = []
        our_rates: list[float] = []
        for number in range(rounds):
            for raw_turn in (True, False) if number % 2 else (False, True):
                time.sleep(REST_S)
                if raw_turn:
                    share = CLIENTS * times // len(tried[best])
                    raw_rates.append(raw_rate(tried[best], subject, share).audio_per_s)
                else:
                    our_rates.append(ours(times))
    return judged(
        f"throughput/{what}, {CLIENTS} clients",
        estimates.ratio(our_rates, raw_rates),
        "x",
        at_least=LEAST,
        notes=[
            f"{estimates.median(our_rates).value:.1f} s of audio a second against "
            f"{estimates.median(raw_rates).value:.1f}",
            f"raw, tried: {', '.join(map(str, grid))}; the best was measured again in turns with the server",
            f"{CLIENTS * times} requests a turn, first and last included",
        ],
    )


def grid_of(stage: Stage) -> tuple[tuple[int, int], ...]:
    return GRID[:2] if stage.quick else GRID


def _arranged(stack: ExitStack, engine: Engine, processes: int, threads: int) -> list[Raw]:
    return [stack.enter_context(raw(engine, threads)) for _ in range(processes)]


def _first_rate(engines: list[Raw], subject: str, times: int) -> Rate:
    """Try an arrangement after one call that warms it."""
    time.sleep(REST_S)
    raw_rate(engines, subject, 1)
    return raw_rate(engines, subject, times)
