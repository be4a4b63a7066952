"""Making a bundle, on a machine with a network."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path

from msgspec import Struct, structs

from open_speech_api.installs import Entry, Place
from open_speech_api.installs.catalogue import OWN
from open_speech_api.installs.environment import find_wheel, fits
from open_speech_api.runtime.worker import Limits
from open_speech_api.runtime.workers import make_workers
from open_speech_api.settings import Settings
from open_speech_core.errors import ModelNotFound
from open_speech_core.registry import Registry, Resolved
from open_speech_core.remote import read_environments

from . import providers
from .assembling import Package, assemble
from .locks import locked
from .machine import Machine, this_machine
from .manifest import FOLDERS, SERVER, BadBundle, Manifest
from .progress import Progress
from .requirements import read_pins, write_pins
from .weights import Collected, Collector
from .wheels import closure_problems, fetch, read_wheel

SERVER_REQUIREMENTS = OWN.parent / "requirements" / "server.txt"
SERVER_WHEELS = ("open-speech-core", "open-speech-static", "open-speech-api", "open-speech-silero")
"""The detector is among them: it runs where recordings are decoded, in the server's own environment."""
SCRATCH = ".scratch"
"""Weights that came, and environments that were needed to fetch them; kept when a run fails, for the next."""


class Wish(Struct, frozen=True, kw_only=True):
    """What a bundle shall hold."""

    entries: tuple[Entry, ...]
    models: tuple[tuple[str, str], ...] = ()
    """Provider and id of each."""
    server: bool = False
    machine: Machine
    wheelhouse: Path
    version: str
    """Of the server's distribution."""


async def create(
    folder: Path, wish: Wish, registry: Registry, environ: Mapping[str, str], progress: Progress
) -> Manifest:
    """Make a bundle in ``folder``, which appears when it is whole.

    What an earlier run fetched of weights is gone on with. Raises ``BadBundle``, or what a download ended in.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadBundle(f"{folder} is there already; name a new folder")
    for entry in wish.entries:
        if not fits(entry.python, wish.machine.python):
            raise BadBundle(f"{entry.name} needs Python {entry.python}; this bundle is for {wish.machine.version}")
    part = folder.with_name(f"{folder.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    with locked(part, f"{folder} is being made by another command"):
        _clear(part)
        making = _Making(part, wish, registry, environ, progress)
        packages = [package async for package in making.packages()]
        models = [model async for model in making.models()]
        progress.step("Writing the manifest")
        manifest = await asyncio.to_thread(assemble, part, packages, models, making.manifest())
        shutil.rmtree(part / SCRATCH, ignore_errors=True)
        part.replace(folder)
    return manifest


def _clear(part: Path) -> None:
    """Remove what an earlier run left, except the scratch."""
    for each in part.iterdir():
        if each.is_dir() and not each.is_symlink():
            if each.name != SCRATCH:
                shutil.rmtree(each)
        else:
            each.unlink()
    for inner in FOLDERS.values():
        (part / inner).mkdir()


class _Making:
    """One bundle in the making."""

    def __init__(
        self, part: Path, wish: Wish, registry: Registry, environ: Mapping[str, str], progress: Progress
    ) -> None:
        self._wheels = part / FOLDERS["wheel"]
        self._requirements = part / FOLDERS["requirements"]
        self._scratch = part / SCRATCH
        self._wish = wish
        self._registry = registry
        self._environ = environ
        self._progress = progress
        self._make = make_workers(environ, Limits())
        self._entries = tuple(_narrowed(entry, wish.machine) for entry in wish.entries)

    def manifest(self) -> Manifest:
        """Give the manifest of no files yet."""
        return Manifest(
            created="",
            made_by=self._wish.version,
            python=self._wish.machine.version,
            platform=self._wish.machine.platform,
            server=self._wish.server,
            providers=self._entries,
            files=(),
        )

    async def packages(self) -> AsyncIterator[Package]:
        """Fetch the wheels of all that is wished for."""
        house = self._wish.wheelhouse
        if self._wish.server:
            own = [find_wheel(house, name) for name in SERVER_WHEELS]
            yield await self._package(SERVER, SERVER_REQUIREMENTS, own, {})
        for entry in self._wish.entries:
            own = [find_wheel(house, name) for name in entry.own]
            own.append(find_wheel(house, entry.distribution, entry.version))
            extras = {entry.distribution: entry.extra or ""}
            yield await self._package(entry.name, Path(entry.requirements), own, extras)

    async def _package(self, name: str, requirements: Path, own: Iterable[Path], extras: Mapping[str, str]) -> Package:
        """Fetch one package's wheels and say, while there is a network, what would be missing."""
        machine = self._wish.machine
        self._progress.step(f"Fetching wheels of {name}")
        third = await fetch(read_pins(requirements, machine), machine, self._wheels, self._environ, self._progress)
        ours = [read_wheel(Path(shutil.copyfile(each, self._wheels / each.name))) for each in own]
        if problems := closure_problems((*ours, *third), machine, extras):
            raise BadBundle(f"the wheels of {name} are not enough: {'; '.join(problems[:5])}")
        # The server is installed by pip alone, from this file; a provider's own wheels are named to pip one by one.
        pinned = (*ours, *third) if name == SERVER else third
        write_pins(self._requirements / f"{name}.txt", [wheel.pin for wheel in pinned])
        return Package(name=name, wheels=(*ours, *third))

    async def models(self) -> AsyncIterator[Collected]:
        """Gather the weights of the models wished for."""
        known = {provider.info.name for provider in self._registry.providers}
        wanted = {name for name, _ in self._wish.models}
        if absent := wanted - known:
            await self._try_out(absent)
        collector = Collector(self._scratch / "models", self._registry, self._make, self._environ)
        for provider, id in self._wish.models:
            yield await collector.collect(self._resolve(provider, id), self._progress)

    async def _try_out(self, names: set[str]) -> None:
        """Install providers that are not here for a while, so that they can fetch their weights."""
        place = Place(
            providers=(self._scratch / "providers").absolute(),
            wheelhouse=self._wheels.absolute(),
            models=self._scratch / "models",
        )
        shutil.rmtree(place.providers, ignore_errors=True)
        entries, environ = self._wish.entries, self._environ
        if self._wish.machine == this_machine():
            # The bundle itself is enough, and is tried at the same time.
            entries = tuple(
                structs.replace(entry, requirements=str(self._requirements / f"{entry.name}.txt"))
                for entry in self._entries
            )
            environ = providers.offline(environ, self._wheels)
        wanted = tuple(entry for entry in entries if entry.name in names)
        await providers.install(wanted, place, self._registry, self._make, environ, Settings(), self._progress)
        # `install` has told the registry of this folder alone.
        self._registry.replace_remotes(read_environments(place.providers, place.models))

    def _resolve(self, provider: str, id: str) -> Resolved:
        for entry in self._entries:
            for kind in entry.kinds if entry.name == provider else ():
                try:
                    return self._registry.resolve(kind, f"{provider}:{id}")
                except ModelNotFound:
                    continue
        raise BadBundle(f"{provider} knows no model {id[:100]!r}")


def _narrowed(entry: Entry, machine: Machine) -> Entry:
    """Give an entry as it is in the bundle: for one Python, with the bundle's own requirements."""
    major, minor = machine.python
    return structs.replace(
        entry,
        python=f">={major}.{minor},<{major}.{minor + 1}",
        requirements=f"{FOLDERS['requirements']}{entry.name}.txt",
    )
