"""Judging a new environment: a worker in it says hello, describes its providers, loads one model and tests itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

from msgspec import structs

from open_speech_api.runtime.pool import Pool
from open_speech_api.runtime.target import Target
from open_speech_api.runtime.targets import Targets
from open_speech_api.runtime.worker import Worker
from open_speech_core.errors import InstallFailed, OpenSpeechError, WorkerDied
from open_speech_core.options import environment_allowed
from open_speech_core.plugins import PluginRecord
from open_speech_core.registry import Resolved
from open_speech_core.remote import HERE_ONLY, RemoteProvider
from open_speech_core.types import API_VERSION, Description, EngineSpec, LoadSpec, Model

from .catalogue import Entry

T = TypeVar("T")
Say = Callable[[str], None]


class Examiner:
    """Asks workers of environments that are not in force yet. Belongs to the event loop."""

    def __init__(
        self, make: Callable[[Target], Worker], targets: Targets, pool: Pool, models: Path, environ: Mapping[str, str]
    ) -> None:
        self._make = make
        self._targets = targets
        self._pool = pool
        self._models = models
        self._environ = environ

    async def examine(self, entry: Entry, interpreter: str, say: Say) -> tuple[Description, ...]:
        """Give what an environment provides, once all of it was found right. Raises ``InstallFailed``."""
        described = await self._describe(entry, interpreter)
        for description in described:
            say(f"{description.kind} {description.info.name}: {len(description.models)} models\n")
            await self._try(description, interpreter, say)
        return described

    async def _describe(self, entry: Entry, interpreter: str) -> tuple[Description, ...]:
        asked = _asked(entry, interpreter)
        described = await self._asking(asked, "describing", lambda worker: self._descriptions(worker, entry))
        # Only now is it known which settings its providers may see, and those say where the owner's models lie.
        allowed: dict[str, str] = {}
        for description in described:
            provider = self._provider(description)
            allowed |= environment_allowed(provider.info, provider.Options, self._environ)
        if allowed:
            asked = structs.replace(asked, environment=allowed)
            described = await self._asking(asked, "describing", lambda worker: self._descriptions(worker, entry))
        _check(entry, described)
        return tuple(described)

    async def _descriptions(self, worker: Worker, entry: Entry) -> list[Description]:
        return await worker.describe(entry.module, str(self._models))

    def _provider(self, description: Description) -> RemoteProvider:
        return RemoteProvider(description, self._models / description.info.name)

    async def _try(self, description: Description, interpreter: str, say: Say) -> None:
        """Load the smallest model whose weights are here, and let it test itself.

        With none here there is nothing to try. One for which there is no memory is not tried: what is loaded stays.
        """
        if description.kind in HERE_ONLY:
            return
        there = sorted(self._here(description), key=lambda pair: (pair[0].memory_mb, pair[0].bytes))
        if not there:
            say(f"no weights of {description.info.name} are here, so that no model is tried\n")
            return
        model, path = there[0]
        target = self._target(description, interpreter, model, path)
        if not await self._pool.has_room(target):
            say(f"there is no memory to try {model.id} in just now\n")
            return
        say(f"loading {model.id}\n")
        await self._asking(target, f"loading {model.id}", lambda worker: worker.load(target.spec, test=True))
        say(f"{model.id} works\n")

    def _here(self, description: Description) -> list[tuple[Model, str | None]]:
        """Give the models that could be loaded now, and where their weights lie if a package shipped them."""
        shipped = {source.id: source.path for source in description.sources if source.kind == description.kind}
        return [
            (model, shipped.get(model.id))
            for model in description.models
            if not model.helper and (model.id in shipped or description.artifacts[model.id].complete)
        ]

    def _target(self, description: Description, interpreter: str, model: Model, path: str | None) -> Target:
        record = PluginRecord(
            name=description.info.name,
            module=description.plugin,
            distribution=description.distribution,
            version=description.version,
            interpreter=interpreter,
        )
        target = self._targets.engine(Resolved(provider=self._provider(description), model=model, plugin=record))
        load = target.spec.load if path is None else structs.replace(target.spec.load, path=path)
        return structs.replace(target, spec=structs.replace(target.spec, load=load))

    async def _asking(self, target: Target, doing: str, ask: Callable[[Worker], Awaitable[T]]) -> T:
        """Ask a worker that ends with the answer. Raises ``InstallFailed`` saying what was being done."""
        worker = self._make(target)
        try:
            await worker.start()
            return await ask(worker)
        except WorkerDied as error:
            raise InstallFailed(f"{doing}: the worker ended unexpectedly") from error
        except OpenSpeechError as error:
            raise InstallFailed(f"{doing}: {error.message}") from error
        finally:
            worker.ending = True
            worker.kill()
            if worker.pid is not None:
                await asyncio.shield(worker.gone.wait())


def _asked(entry: Entry, interpreter: str) -> Target:
    """Give a target to ask for descriptions, whose model nobody loads."""
    nothing = LoadSpec(model=Model(id=entry.name, kind=entry.kinds[0], rate=16_000))
    spec = EngineSpec(plugin=entry.module, kind=entry.kinds[0], provider=entry.name, load=nothing)
    return Target(key=f"install/{entry.name}", spec=spec, interpreter=interpreter)


def _check(entry: Entry, described: list[Description]) -> None:
    """Raise ``InstallFailed`` unless an environment holds what its entry promises."""
    for description in described:
        major, minor = description.api
        if major != API_VERSION[0]:
            raise InstallFailed(f"{entry.title} is written for API {major}.{minor}; this server has {API_VERSION[0]}")
    found = {description.kind for description in described if description.info.name == entry.name}
    if lacking := [kind for kind in entry.kinds if kind not in found]:
        raise InstallFailed(f"{entry.module} registers no {lacking[0]} called {entry.name!r}")
