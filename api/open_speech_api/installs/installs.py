"""Installs: one at a time for each provider, verified before anything changes, switched by renaming a folder."""

from __future__ import annotations

import asyncio
import functools
import logging
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from open_speech_api.runtime.downloads import Downloads
from open_speech_api.runtime.fleet import Target
from open_speech_api.runtime.pool import Pool
from open_speech_api.runtime.worker import Worker
from open_speech_core.errors import InUse, InvalidRequest, JobNotFound, LoadFailed, OpenSpeechError
from open_speech_core.options import environment_allowed
from open_speech_core.registry import Registry
from open_speech_core.remote import DESCRIPTION, Environment, RemoteProvider, read_environments, write_environment
from open_speech_core.types import Description, EngineSpec, LoadSpec, Model

from .catalogue import Entry, choose
from .environment import filtered, find_interpreter, find_wheel, module, redact, run
from .jobs import Job, Jobs

log = logging.getLogger(__name__)

T = TypeVar("T")

MARK = "entry"
"""File that says which entry a folder was made for; folders without one are not ours to remove."""
PYTHON = "bin/python"


class Place(Struct, frozen=True, kw_only=True):
    """Where installs find and leave things."""

    providers: Path
    wheelhouse: Path
    models: Path
    timeout_s: float = 1800.0
    keep_replaced: bool = False
    """Leave what is replaced to the next start's sweep: a server that runs beside us may work in it."""


class Installs:
    """Installs and removes providers. Everything here belongs to the event loop."""

    def __init__(
        self,
        catalogue: tuple[Entry, ...],
        place: Place,
        registry: Registry,
        pool: Pool,
        downloads: Downloads,
        make: Callable[[Target], Worker],
        environ: Mapping[str, str],
    ) -> None:
        self.catalogue = catalogue
        self._downloads = downloads
        self._place = place
        self._registry = registry
        self._pool = pool
        self._make = make
        self._environ = environ
        self._jobs = Jobs(place.providers / "jobs")
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def installed(self, name: str) -> bool:
        """Say whether this entry lives in an environment that was made here."""
        return self._folder(name) is not None

    def here(self, name: str) -> bool:
        """Say whether the server's own environment has this entry's plugin."""
        modules = {entry.module for entry in self.catalogue if entry.name == name}
        return any(
            record.interpreter is None and record.error is None and record.module in modules
            for record in self._registry.plugins
        )

    def start(self, provider: str | None, model: str | None = None) -> Job:
        """Begin an install, or give the one that runs. Raises ``InvalidRequest``."""
        entry = choose(self.catalogue, provider, model)
        if (running := self._jobs.running(entry.name)) is not None:
            return running
        job = self._jobs.begin(entry.name)
        if self.here(entry.name):
            job.status = "done"
            job.say(f"{entry.title} is part of the server's own environment.\n")
            self._jobs.keep(job)
            return job
        self._tasks[job.job_id] = asyncio.create_task(self._run(entry, job))
        return job

    def missing(self) -> list[Entry]:
        """Give the entries that are neither installed nor part of the server's environment."""
        return [entry for entry in self.catalogue if not self.here(entry.name) and not self.installed(entry.name)]

    def running(self, name: str) -> bool:
        """Say whether this entry is being installed."""
        return self._jobs.running(name) is not None

    def find(self, job_id: str) -> Job | None:
        return self._jobs.find(job_id)

    async def cancel(self, job_id: str) -> Job:
        """Stop an install that runs; when this answers, nothing of it is left. Raises ``JobNotFound``."""
        if (job := self._jobs.find(job_id)) is None:
            raise JobNotFound("no install has this number")
        if (task := self._tasks.get(job_id)) is not None:
            task.cancel()
            await asyncio.wait([task])
        return job

    async def remove(self, name: str) -> None:
        """Remove an environment that was made here. Raises ``InvalidRequest`` or ``InUse``."""
        folder = self._folder(name)
        if folder is None:
            raise InvalidRequest(f"{name[:100]!a} was not installed by this server", param="provider")
        fleets = [fleet for fleet in self._pool.fleets() if _within(fleet.target, folder)]
        fetching = any(_within(target, folder) for target in self._downloads.running())
        if fetching or self._jobs.running(name) is not None or any(not fleet.idle for fleet in fleets):
            raise InUse(f"provider {name!r} is in use; try again", param="provider")
        (folder / DESCRIPTION).unlink(missing_ok=True)
        self._reload()
        await self._leave(folder, [fleet.target.key for fleet in fleets])

    async def close(self) -> None:
        """End every install that runs."""
        tasks = [*self._tasks.values(), *self._leaving]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self, entry: Entry, job: Job) -> None:
        number = 1 + max((_number(each) for each in _folders(self._place.providers, entry.name)), default=0)
        unfinished = self._place.providers / f".{entry.name}-{number}"
        try:
            async with asyncio.timeout(self._place.timeout_s):
                await self._install(entry, job, unfinished)
            self._switch(entry, unfinished)
            job.status, job.step = "done", ""
        except TimeoutError:
            job.status, job.error = "failed", f"the install took longer than {self._place.timeout_s:g} s"
        except OpenSpeechError as error:
            job.status, job.error = "failed", redact(error.message, self._environ)
        except asyncio.CancelledError:
            job.status, job.error = "cancelled", "the install was cancelled"
        except Exception:  # fence: background task
            log.exception("the install of %s", entry.name)
            job.status, job.error = "failed", "the install failed; the server's log says why"
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
            self._jobs.keep(job)
            self._tasks.pop(job.job_id, None)

    async def _install(self, entry: Entry, job: Job, folder: Path) -> None:
        """Make an environment in ``folder`` and describe it there."""
        self._step(job, "looking for wheels and an interpreter")
        wheels = [find_wheel(self._place.wheelhouse, name) for name in entry.own]
        wheels.append(find_wheel(self._place.wheelhouse, entry.distribution, entry.version))
        interpreter = await find_interpreter(entry.python, self._environ)
        pip_environ = filtered(self._environ)
        say = functools.partial(self._say, job)
        self._step(job, "making an environment")
        folder.mkdir(parents=True)
        (folder / MARK).write_text(entry.name)
        await run(module(interpreter, "venv", str(folder)), pip_environ, say)
        pip = functools.partial(module, str(folder / PYTHON), "pip", "--no-input", "--disable-pip-version-check")
        self._step(job, "installing third-party packages")
        third = ("install", "--require-hashes", "--only-binary", ":all:", "-r", entry.requirements)
        await run(pip(*third), pip_environ, say)
        self._step(job, "installing the provider")
        await run(pip("install", "--no-deps", "--no-index", *map(str, wheels)), pip_environ, say)
        await run(pip("check"), pip_environ, say)
        self._step(job, "verifying")
        descriptions = await self._verify(entry, str(folder / PYTHON))
        write_environment(folder, Environment(interpreter=PYTHON, descriptions=descriptions))

    async def _verify(self, entry: Entry, interpreter: str) -> tuple[Description, ...]:
        """Let a worker there describe itself, and load one model a provider whose weights are here."""
        asked = EngineSpec(plugin=entry.module, kind=entry.kinds[0], provider=entry.name, load=_unloaded(entry))
        described = await self._in_worker(
            Target(key=f"install/{entry.name}", spec=asked, interpreter=interpreter),
            lambda worker: worker.describe(entry.module, str(self._place.models)),
        )
        if not described:
            raise LoadFailed(f"{entry.title} registers no provider")
        for description in described:
            await self._try_load(description, interpreter)
        return tuple(described)

    async def _try_load(self, description: Description, interpreter: str) -> None:
        there = (model for model in description.models if description.artifacts[model.id].complete)
        if (model := next(there, None)) is None:
            return
        provider = RemoteProvider(description, self._place.models / description.info.name)
        spec = EngineSpec(
            plugin=description.plugin,
            kind=description.kind,
            provider=description.info.name,
            load=LoadSpec(model=model, device="auto", compute_type="auto", threads=1, home=str(provider.home)),
        )
        environment = environment_allowed(provider.info, provider.Options, self._environ)
        target = Target(key=f"install/{model.id}", spec=spec, interpreter=interpreter, environment=environment)
        await self._in_worker(target, lambda worker: worker.load(spec))

    async def _in_worker(self, target: Target, ask: Callable[[Worker], Awaitable[T]]) -> T:
        worker = self._make(target)
        try:
            await worker.start()
            return await ask(worker)
        finally:
            worker.ending = True
            worker.kill()
            await asyncio.shield(worker.gone.wait())

    def _switch(self, entry: Entry, unfinished: Path) -> None:
        """Put an environment in force: from here on it is what new loads use."""
        old = self._folder(entry.name)
        unfinished.rename(unfinished.with_name(unfinished.name.removeprefix(".")))
        if old is not None:
            keys = [fleet.target.key for fleet in self._pool.fleets() if _within(fleet.target, old)]
            (old / DESCRIPTION).unlink(missing_ok=True)
            self._reload()
            if self._place.keep_replaced:
                return
            task = asyncio.create_task(self._leave(old, keys))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        else:
            self._reload()

    def _reload(self) -> None:
        self._registry.replace_remotes(read_environments(self._place.providers, self._place.models))

    async def _leave(self, folder: Path, keys: list[str]) -> None:
        """End an environment's workers as their work ends, then remove it."""
        for key in keys:
            while (fleet := self._pool.find(key)) is not None and fleet.starting:
                await asyncio.sleep(0.1)
            await self._pool.unload(key)
        while any(_within(target, folder) for target in self._downloads.running()):
            await asyncio.sleep(0.1)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _folder(self, name: str) -> Path | None:
        found = [each for each in _folders(self._place.providers, name) if (each / DESCRIPTION).exists()]
        return max(found, key=_number, default=None)

    def _step(self, job: Job, step: str) -> None:
        job.step = step
        self._jobs.keep(job)

    def _say(self, job: Job, text: str) -> None:
        job.say(redact(text, self._environ))


def sweep(providers: Path) -> None:
    """Remove what a killed server left: unfinished folders, and environments that a later one replaced."""
    for mark in providers.glob(f"*/{MARK}"):
        folder = mark.parent
        name = mark.read_text()
        whole = [each for each in _folders(providers, name) if (each / DESCRIPTION).exists()]
        if folder.name.startswith(".") or folder != max(whole, key=_number, default=None):
            shutil.rmtree(folder, ignore_errors=True)


def _folders(providers: Path, name: str) -> list[Path]:
    found = (each for each in providers.glob(f"{name}-*") if (each / MARK).is_file())
    return [each for each in found if each.name.removeprefix(f"{name}-").isdecimal()]


def _number(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])


def _within(target: Target, folder: Path) -> bool:
    return target.interpreter is not None and Path(target.interpreter).is_relative_to(folder)


def _unloaded(entry: Entry) -> LoadSpec:
    return LoadSpec(model=Model(id=entry.name, kind=entry.kinds[0], rate=16_000), home="")
