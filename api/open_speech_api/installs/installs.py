"""Installs: one at a time for each provider, verified before anything changes, then switched by one written file."""

from __future__ import annotations

import asyncio
import errno
import functools
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from open_speech_api.runtime.downloads import Downloads
from open_speech_api.runtime.pool import Pool
from open_speech_api.runtime.target import Target
from open_speech_api.runtime.targets import Targets
from open_speech_api.runtime.worker import Worker
from open_speech_core.errors import (
    FeatureNotSupported,
    InstallFailed,
    InUse,
    JobNotFound,
    OpenSpeechError,
    ProviderNotFound,
    StorageFull,
)
from open_speech_core.plugins import PluginRecord
from open_speech_core.registry import Registry
from open_speech_core.remote import Environment, read_environments, write_environment
from open_speech_core.types import Description

from .catalogue import Entry, choose
from .environment import filtered, find_interpreter, find_wheel, redact, run
from .examiner import Examiner
from .folders import Folders, Made
from .jobs import Job, Jobs
from .tools import PYTHON, find_tool

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.1
CANCELLED = "the install was cancelled"
END_S = 2.0
"""What an install has to clear away when the server stops; what it leaves is removed at the next start."""


class Place(Struct, frozen=True, kw_only=True):
    """Where installs find and leave things."""

    providers: Path
    wheelhouse: Path
    models: Path
    timeout_s: float = 1800.0
    keep_replaced: bool = False
    """Leave what is replaced to the next start: a server that runs beside us may work in it."""


class Installs:
    """Installs and removes providers. Belongs to the event loop; what walks folders runs on a thread."""

    def __init__(
        self,
        catalogue: tuple[Entry, ...],
        place: Place,
        registry: Registry,
        pool: Pool,
        downloads: Downloads,
        make: Callable[[Target], Worker],
        environ: Mapping[str, str],
        targets: Targets,
    ) -> None:
        self.catalogue = catalogue
        self._place = place
        self._registry = registry
        self._pool = pool
        self._downloads = downloads
        self._examiner = Examiner(make, targets, pool, place.models, environ)
        self._environ = environ
        self._folders = Folders(place.providers)
        self._jobs = Jobs(place.providers / "jobs")
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    # what is here

    def here(self, name: str) -> bool:
        """Say whether the server's own environment has this entry's plugin."""
        modules = {entry.module for entry in self.catalogue if entry.name == name}
        return any(record.module in modules for record in self._working() if record.interpreter is None)

    def installed(self, name: str) -> bool:
        """Say whether this entry serves from an environment of its own."""
        return any(record.name == name and record.interpreter is not None for record in self._working())

    def outdated(self, entry: Entry) -> bool:
        """Say whether an install would make another environment than the one that is here."""
        made = self._folders.find(entry.name)
        return made is not None and not made.mark.is_of(entry)

    def removable(self, name: str) -> bool:
        """Say whether there is an environment of this name that was made here."""
        return self._folders.find(name) is not None

    def missing(self) -> list[Entry]:
        """Give the entries that are neither installed nor part of the server's environment."""
        return [entry for entry in self.catalogue if not self.here(entry.name) and not self.installed(entry.name)]

    def running(self, name: str) -> Job | None:
        """Give the install of this entry that runs."""
        return self._jobs.running(name)

    def find(self, job_id: str) -> Job | None:
        return self._jobs.find(job_id)

    def lacking(self, entry: Entry) -> str | None:
        """Say what keeps an install from succeeding, as far as can be seen at a glance."""
        try:
            self._wheels(entry)
        except InstallFailed as error:
            return error.message
        return None

    def _working(self) -> list[PluginRecord]:
        return [record for record in self._registry.plugins if record.error is None]

    # what changes it

    async def start(self, provider: str | None, model: str | None = None, *, again: bool = False) -> Job:
        """Begin an install, or give the one that runs; one that ended already where there is nothing to do.

        Raises:
            InvalidRequest: the catalogue has no such entry.
            FeatureNotSupported: no Python here fits it.
            StorageFull: the disk has no room for it.
        """
        entry = choose(self.catalogue, provider, model)
        if (running := self._jobs.running(entry.name)) is not None:
            return running
        if (reason := self._needless(entry, again)) is not None:
            job = self._jobs.begin(entry.name, entry.version)
            job.say(reason)
            self._jobs.end(job, "done")
            return job
        interpreter = await find_interpreter(entry.python, self._environ)
        await asyncio.to_thread(self._check_disk, entry)
        if (running := self._jobs.running(entry.name)) is not None:
            return running
        job = self._jobs.begin(entry.name, entry.version)
        self._tasks[job.job_id] = task = asyncio.create_task(self._run(entry, job, interpreter))
        task.add_done_callback(lambda _: self._ended(job))
        return job

    async def cancel(self, job_id: str) -> Job:
        """Stop an install that runs; when this answers, nothing of it is left. Raises ``JobNotFound``."""
        if (job := self._jobs.find(job_id)) is None:
            raise JobNotFound("no install has this number")
        if (task := self._tasks.get(job_id)) is not None:
            _cancel_once(task)
            await asyncio.wait([task])
        return job

    async def remove(self, name: str) -> None:
        """Remove an environment that was made here; weights stay.

        Raises:
            ProviderNotFound: there is none of this name.
            FeatureNotSupported: it is part of the server's own environment.
            InUse: it serves, fetches weights, or is being installed.
        """
        made = self._folders.find(name)
        if made is None:
            # Its plugin may have come without the catalogue's help.
            if any(provider.info.name == name for provider in self._registry.providers):
                raise FeatureNotSupported(f"{name!r} was not installed by this server", param="provider")
            raise ProviderNotFound(f"no provider {name[:100]!a} was installed by this server", param="provider")
        if self._jobs.running(name) is not None:
            raise InUse(f"provider {name!r} is being installed; cancel that first", param="provider")
        serving = any(_within(fleet.target, made) and not fleet.idle for fleet in self._pool.fleets())
        if serving or self._fetching(made):
            raise InUse(f"provider {name!r} is in use; try again", param="provider")
        made.retire()
        self._reload()
        await self._leave(made, None)

    async def tidy(self, left: list[Made]) -> None:
        """Remove what a killed server left."""
        for made in left:
            await asyncio.to_thread(made.remove)

    async def close(self) -> None:
        """End every install that runs; may be called again, also meanwhile."""
        tasks = [*self._tasks.values(), *self._leaving]
        for task in tasks:
            _cancel_once(task)
        if tasks:
            await asyncio.wait(tasks, timeout=END_S)

    # one install

    async def _run(self, entry: Entry, job: Job, interpreter: str) -> None:
        made: Made | None = None
        try:
            made = self._folders.make(entry)
            async with asyncio.timeout(self._place.timeout_s):
                descriptions = await self._install(entry, job, interpreter, made)
            self._switch(made, descriptions)
            job.step = ""
            self._jobs.end(job, "done")
            log.info("%s %s is installed", entry.name, entry.version)
            return
        except TimeoutError:
            reason = f"the install took longer than {self._place.timeout_s:g} s"
        except OpenSpeechError as error:
            reason = self._redacted(error.message)
        except asyncio.CancelledError:
            reason = CANCELLED
        except OSError as error:
            reason = _of_disk(error)
        except Exception:  # fence: background task
            log.exception("the install of %s", entry.name)
            reason = "the install failed; the server's log says why"
        log.warning("%s could not be installed: %s", entry.name, reason)
        if made is not None:
            await asyncio.shield(asyncio.to_thread(made.remove))
        self._jobs.end(job, "cancelled" if reason == CANCELLED else "failed", reason)

    def _ended(self, job: Job) -> None:
        """Close the record of a task that could not do so itself: it never began, or the server stops."""
        del self._tasks[job.job_id]
        if job.status == "installing":
            self._jobs.end(job, "cancelled", CANCELLED)

    async def _install(self, entry: Entry, job: Job, interpreter: str, made: Made) -> tuple[Description, ...]:
        """Fill an environment, let it be judged, and give what it provides."""
        self._step(job, "looking for wheels")
        wheels, tool = self._wheels(entry), find_tool(self._environ)
        say = functools.partial(self._say, job)
        python = str(made.path / PYTHON)
        steps = {
            "making an environment": tool.make(made.path, interpreter),
            "installing third-party packages": tool.add_pinned(made.path, Path(entry.requirements).absolute()),
            "installing the provider": tool.add_wheels(made.path, wheels),
            "checking what each package asks for": tool.check(made.path),
        }
        if entry.imports:
            steps["importing the engine"] = [python, "-I", "-c", f"import {', '.join(entry.imports)}"]
        for step, command in steps.items():
            self._step(job, step)
            await run(command, filtered(self._environ), say, cwd=made.path)
        self._step(job, "verifying")
        return await self._examiner.examine(entry, python, say)

    def _switch(self, made: Made, descriptions: tuple[Description, ...]) -> None:
        """Put an environment in force: from here on it is what new loads use."""
        old = self._folders.find(made.mark.name)
        write_environment(made.path, Environment(interpreter=PYTHON, descriptions=descriptions))
        if old is not None:
            old.retire()
        self._reload()
        if old is not None and not self._place.keep_replaced:
            task = asyncio.create_task(self._leave(old, made))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _reload(self) -> None:
        self._registry.replace_remotes(read_environments(self._place.providers, self._place.models, self._environ))

    async def _leave(self, old: Made, new: Made | None) -> None:
        """End an environment's workers as their work ends, then remove it."""
        await self._pool.leave_interpreter(str(old.path / PYTHON), None if new is None else str(new.path / PYTHON))
        while self._fetching(old):
            await asyncio.sleep(LOOK_EVERY_S)
        await asyncio.to_thread(old.remove)

    def _fetching(self, made: Made) -> bool:
        return any(_within(target, made) for target in self._downloads.running())

    def _wheels(self, entry: Entry) -> list[Path]:
        house = self._place.wheelhouse
        return [*(find_wheel(house, name) for name in entry.own), find_wheel(house, entry.distribution, entry.version)]

    def _needless(self, entry: Entry, again: bool) -> str | None:
        """Say why there is nothing to install."""
        if self.here(entry.name):
            return f"{entry.title} is part of the server's own environment.\n"
        if not again and self.installed(entry.name) and not self.outdated(entry):
            return f"{entry.title} {entry.version} is installed already.\n"
        return None

    def _check_disk(self, entry: Entry) -> None:
        """Raise ``StorageFull`` where an environment would not fit. Blocks."""
        place = self._place.providers
        while not place.exists():
            place = place.parent
        free_mb = shutil.disk_usage(place).free // 1_000_000
        if free_mb < entry.size_mb:
            raise StorageFull(f"{entry.title} takes about {entry.size_mb} MB, and {free_mb} MB are free")

    def _step(self, job: Job, step: str) -> None:
        job.step = step
        self._jobs.keep(job)

    def _say(self, job: Job, text: str) -> None:
        job.say(self._redacted(text))

    def _redacted(self, text: str) -> str:
        return redact(text, self._environ, (self._place.providers, self._place.wheelhouse, self._place.models))


def _cancel_once(task: asyncio.Task[None]) -> None:
    """Cancel a task that was not: another cancel would end its clearing away."""
    if not task.cancelling():
        task.cancel()


def _within(target: Target, made: Made) -> bool:
    return target.interpreter is not None and Path(target.interpreter).is_relative_to(made.path)


def _of_disk(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full"
    return f"OS_PROVIDERS_DIR cannot be written: {error.strerror}"
