"""What the server's own processes keep in memory: at rest, after use, and over rounds of use."""

from __future__ import annotations

import time
from collections.abc import Iterator

from . import estimates
from .client import Client, Upload
from .clips import PARAGRAPH
from .processes import Footprint, footprint, other_measures
from .results import Result, judged
from .stage import Running, Stage

TTL_S = 2
MODELS = ("whisper-1", "tts-1")
SETTLE_S = 0.5
OWN = "PSS of the server and its media workers; engine workers are the models' and counted apart"


def measure(stage: Stage) -> Iterator[Result]:
    """Measure them all."""
    yield from _rest(stage)
    yield from _rounds(stage)


def use(client: Client, upload: Upload) -> None:
    """Ask in every way that has code of its own."""
    client.transcribe(upload)
    for format in ("pcm", "mp3", "opus", "wav"):
        client.speak(PARAGRAPH, format)
    client.speak(PARAGRAPH, "mp3", stream_format="sse")


def _rest(stage: Stage) -> Iterator[Result]:
    """Measure before the first request, in use, and with every worker gone."""
    upload = Upload.of(stage.clips.short)
    streamed = Upload.of(stage.clips.short, stream="true", response_format="json")
    with stage.server(OS_MODEL_TTL=str(TTL_S)) as server:
        time.sleep(SETTLE_S)
        before, others_before = footprint(server), other_measures(server)
        with stage.client(server) as client:
            for _ in range(stage.rounds(10, 1)):
                use(client, upload)
                client.transcribe(streamed)
            used = footprint(server)
        _await_no_workers(server)
        after, others_after = footprint(server), other_measures(server)
    yield judged(
        "memory/before the first request",
        estimates.single(before.own),
        "MB",
        at_most=110,
        notes=[OWN, f"PSS counts a page shared with another program in part: {others_before}"],
    )
    yield judged(
        "memory/kept after use, all workers ended",
        estimates.single(after.own - before.own),
        "MB",
        at_most=10,
        notes=[_described("in use", used), _described("after", after), others_after],
    )


def _rounds(stage: Stage) -> Iterator[Result]:
    """Load, use and unload, again and again; the first round, which starts what stays, is not counted."""
    upload = Upload.of(stage.clips.short)
    loaded: list[Footprint] = []
    kept: list[Footprint] = []
    with stage.server() as server, stage.client(server) as client:
        time.sleep(SETTLE_S)
        before = footprint(server)
        for _ in range(stage.rounds(10, 3) + 1):
            for model in MODELS:
                client.post("/v1/audio/models/load", {"model": model})
            use(client, upload)
            loaded.append(footprint(server))
            for model in MODELS:
                client.post("/v1/audio/models/unload", {"model": model})
            time.sleep(SETTLE_S)
            kept.append(footprint(server))
    counted = kept[1:]
    if any(each.engines for each in counted):
        raise RuntimeError("an engine's worker outlived its unload")
    yield judged(
        "memory/two models loaded and used, with all workers",
        estimates.median([each.own + each.engines for each in loaded[1:]]),
        "MB",
        notes=[_described("before the first load", before), _described("loaded", loaded[-1])],
    )
    yield judged(
        "memory/unloaded again, with all workers",
        estimates.median([each.own + each.engines for each in counted]),
        "MB",
        notes=[_described("unloaded", kept[-1])],
    )
    yield judged(
        "memory/growth over rounds of load, use, unload",
        estimates.slope([each.own for each in counted]),
        "MB/round",
        at_most=0.5,
        notes=[
            f"MB after each round: {', '.join(f'{each.own:.1f}' for each in counted)}",
            f"of the last, the server alone {kept[-1].server:.1f}; media workers stay, by their own TTL",
        ],
    )


def _await_no_workers(server: Running, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while server.workers():
        if time.monotonic() > deadline:
            raise RuntimeError("workers outlive their TTL")
        time.sleep(0.1)
    time.sleep(SETTLE_S)


def _described(when: str, now: Footprint) -> str:
    return (
        f"{when}: server {now.server:.1f}, media workers {now.media:.1f}, "
        f"Whisper's {now.whisper:.1f}, Piper's {now.piper:.1f} MB"
    )
