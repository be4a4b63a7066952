"""A live caller's wait behind long recordings, taken at the pool: no route is live yet."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from msgspec import Struct

from open_speech_api.runtime.fleet import Fleet
from open_speech_api.runtime.plan import TranscriptionPlan
from open_speech_api.runtime.pool import Pool, Ticket
from open_speech_api.runtime.target import Policy, Target
from open_speech_api.runtime.targets import Targets
from open_speech_api.runtime.transcription import Transcription, Upload
from open_speech_api.runtime.worker import Limits, Spent, Worker
from open_speech_api.runtime.workers import make_workers
from open_speech_api.settings import read_settings
from open_speech_core.audio import to_wire
from open_speech_core.plugins import discover
from open_speech_core.registry import build_registry
from open_speech_core.types import Audio, Samples, TranscribeRequest

from . import estimates
from .clips import RATE, as_float
from .results import Result, judged
from .stage import STARTER, Stage

BATCH_CALLERS = 2
SAID_S = 1
"""Length of what the live caller says."""
SEED = 11


class TimedPool(Pool):
    """A pool that notes for how many seconds batch callers hold a model at a time."""

    def __init__(self, environ: dict[str, str]) -> None:
        super().__init__(Policy(), make_workers(environ, Limits()))
        self.held_s: list[float] = []

    def ticket(self, target: Target, *, caller: str, live: bool = False, spent: Spent | None = None) -> Ticket:
        if live or not target.counted:
            return super().ticket(target, caller=caller, live=live, spent=spent)
        return TimedTicket(self, self.fleet(target), caller, spent or Spent())


class TimedTicket(Ticket):
    """A batch caller's ticket in a ``TimedPool``."""

    def __init__(self, pool: TimedPool, fleet: Fleet, caller: str, spent: Spent) -> None:
        super().__init__(pool, fleet, caller, False, spent)
        self._held_s = pool.held_s

    @asynccontextmanager
    async def lease(self, *, alone: bool = False) -> AsyncIterator[Worker]:
        async with super().lease(alone=alone) as worker:
            since = time.monotonic()
            try:
                yield worker
            finally:
                self._held_s.append(time.monotonic() - since)


class Scene(Struct, frozen=True, kw_only=True):
    """A pool with one replica of the recogniser, and what is asked of it."""

    pool: TimedPool
    media: Target
    plan: TranscriptionPlan
    said: Samples


def measure(stage: Stage) -> Iterator[Result]:
    """Send two long recordings to one replica and, now and then, a live caller."""
    held_s, waits = asyncio.run(_play(stage))
    longest = max(held_s)
    yield judged(
        "live/wait behind long recordings, in spans",
        estimates.worst([wait / longest for wait in waits]),
        "x",
        at_most=1.0,
        notes=[
            f"the longest of {len(waits)} waits was {max(waits):.2f} s, the median "
            f"{estimates.median(waits).value:.2f} s; the longest span held the engine for {longest:.2f} s",
            f"{BATCH_CALLERS} recordings of talk, one replica; measured at the pool",
        ],
    )


async def _play(stage: Stage) -> tuple[list[float], list[float]]:
    scene = _scene(stage)
    clip = stage.clips.minute if stage.quick else stage.clips.ten_minutes
    try:
        await scene.pool.fleet(scene.plan.target).ensure()
        async with asyncio.TaskGroup() as group:
            folders = [stage.folder / f"recording-{number}" for number in range(BATCH_CALLERS)]
            batch = [group.create_task(_transcribe(scene, clip, folder)) for folder in folders]
            live = group.create_task(_speak_up(scene, batch))
        return scene.pool.held_s, live.result()
    finally:
        await scene.pool.drain(1)


def _scene(stage: Stage) -> Scene:
    own = {"OS_CORES": "1", "OS_DATA_DIR": str(stage.folder / "live")}
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "STT_"))} | own
    settings, _ = read_settings(environ)
    registry = build_registry(discover(STARTER), environ=environ, data_dir=settings.server.data_root)
    targets = Targets(settings, registry, environ)
    resolved = registry.resolve("transcriber", "")
    plan = TranscriptionPlan(
        resolved=resolved,
        target=targets.engine(resolved),
        cutting=targets.cutting(),
        task="transcribe",
        language=None,
        languages=(),
        keywords=(),
        prompt=None,
        temperature=None,
        word_timestamps=False,
        logprobs=False,
        options=None,
        ignored=(),
    )
    said = next(iter(to_wire(Audio(samples=as_float(stage.clips.short)[: SAID_S * RATE], rate=RATE))))
    return Scene(pool=TimedPool(environ), media=targets.decode, plan=plan, said=said)


async def _transcribe(scene: Scene, clip: Path, folder: Path) -> None:
    folder.mkdir()
    upload = Upload(path=clip, folder=folder)
    run = Transcription(scene.plan, upload, pool=scene.pool, media=scene.media, caller=folder.name)
    async with aclosing(run.segments()) as segments:
        async for _segment in segments:
            pass


async def _speak_up(scene: Scene, batch: list[asyncio.Task[None]]) -> list[float]:
    """Ask for the engine at random moments while the recordings run; give the waits in seconds."""
    chance = random.Random(SEED)
    waits: list[float] = []
    while True:
        await asyncio.sleep(chance.uniform(0.1, 1.0))
        if any(task.done() for task in batch):
            return waits
        spent = Spent()
        with scene.pool.ticket(scene.plan.target, caller="live", live=True, spent=spent) as ticket:
            async with aclosing(ticket.run(TranscribeRequest(audio=scene.said))) as items:
                async for _item in items:
                    pass
        waits.append(spent.queue_ms / 1000)
