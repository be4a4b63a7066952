"""Targets for real workers of echo and of slow weights, and a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil

from api.serving import clean_environment
from open_speech_api.runtime.target import Target
from open_speech_api.runtime.worker import Limits, Worker
from open_speech_api.runtime.workers import make_workers
from open_speech_core.types import EngineSpec, Kind, LoadSpec, Model

WEIGHTS = "api.plugins_for_tests.weights"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def maker(**limits: float) -> Callable[[Target], Worker]:
    return make_workers(clean_environment(), Limits(**limits))


def target(
    id: str = "echo",
    *,
    kind: Kind = "transcriber",
    plugin: str = "open_speech_echo",
    provider: str = "echo",
    memory_mb: int = 0,
    home: Path | None = None,
    max_replicas: int = 1,
    download: bool = False,
    device: str = "auto",
    **environment: str,
) -> Target:
    model = Model(id=id, kind=kind, rate=16_000, memory_mb=memory_mb)
    load = LoadSpec(model=model, home=str(home or ""), device=device)
    return Target(
        key=f"{kind}/{provider}:{id}",
        spec=EngineSpec(plugin=plugin, kind=kind, provider=provider, load=load),
        environment=environment,
        max_replicas=max_replicas,
        download=download,
    )


def weights(home: Path, id: str = "slow", *, download: bool = True, **environment: str) -> Target:
    """A model that is fetched in ten steps."""
    return target(id, plugin=WEIGHTS, provider="weights", home=home, download=download, **environment)


def own_workers() -> list[psutil.Process]:
    """Give the workers that this process itself started; those of servers are not its children."""
    return [each for each in psutil.Process().children() if "open_speech_core.worker" in " ".join(each.cmdline())]


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


async def until(true: Callable[[], object], within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.01)
