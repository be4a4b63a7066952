"""Memory does not grow with length: an hour's upload, and a recording as long as a working day."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from . import estimates
from .processes import Footprint, footprint, watched
from .results import Result, judged
from .stage import ECHO, Running, Stage

HOUR_MB = 40
DAY_MB = 60
CUT_OFF_S = 900.0


def measure(stage: Stage) -> Iterator[Result]:
    """Measure both."""
    yield _upload(stage)
    yield from _workers(stage)


def _upload(stage: Stage) -> Result:
    """Send an hour of WAV to the recogniser without a model; watch the server alone."""
    hour = stage.clips.hour
    with stage.server(*ECHO, OS_MAX_UPLOAD_MB="200") as server, stage.client(server) as client:
        for _ in range(2):
            client.transcribe_file(stage.clips.short, model="echo")
        before = footprint(server)
        with watched(server, workers=False) as peak:
            answer = client.transcribe_file(hour, model="echo")
    return judged(
        "long_audio/an hour's upload adds to the server",
        estimates.single(peak.largest.server - before.server),
        "MB",
        at_most=HOUR_MB,
        notes=[
            f"{hour.stat().st_size / 1e6:.0f} MB of WAV, done in {answer.total_s:.1f} s by echo; "
            f"the server had {before.server:.1f} MB before, {peak.largest.server:.1f} at most",
        ],
    )


def _workers(stage: Stage) -> Iterator[Result]:
    """Compare the workers' peaks over 60 s with those over 8 h; in the short form, half an hour."""
    hours = 0.5 if stage.quick else 8.0
    sparse = stage.clips.sparse(hours)
    with stage.server(OS_MAX_UPLOAD_MB="500") as server:
        short, _ = _peak(stage, server, stage.clips.minute, 2)
        long, done_s = _peak(stage, server, sparse, 1)
    ended = f"done in {done_s:.0f} s" if done_s < CUT_OFF_S else f"cut off after {CUT_OFF_S:.0f} s, not at its end"
    notes = [
        f"FLAC of {hours:g} h, {sparse.stat().st_size / 1e6:.1f} MB, a minute of talk in every ten; {ended}",
        f"at most, on 60 s: {_described(short)}; on {hours:g} h: {_described(long)}",
    ]
    for what, more in (("media", long.media - short.media), ("Whisper", long.whisper - short.whisper)):
        name = f"long_audio/{what} worker on {hours:g} h, beyond 60 s"
        yield judged(name, estimates.single(more), "MB", at_most=DAY_MB, notes=notes)


def _peak(stage: Stage, server: Running, path: Path, times: int) -> tuple[Footprint, float]:
    """Transcribe a file; give the largest footprints and the seconds of the last time."""
    seconds = 0.0
    with stage.client(server) as client:
        client.give_up_after(CUT_OFF_S)
        with watched(server) as peak:
            for _ in range(times):
                since = time.monotonic()
                with suppress(TimeoutError):
                    client.transcribe_file(path)
                seconds = time.monotonic() - since
    return peak.largest, seconds


def _described(now: Footprint) -> str:
    return f"media {now.media:.1f}, Whisper {now.whisper:.1f}, server {now.server:.1f} MB"
