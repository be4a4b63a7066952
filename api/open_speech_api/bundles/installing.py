"""Installing a bundle, on a machine that need have no network."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from msgspec import structs

from open_speech_api.installs import Entry, Place
from open_speech_api.installs.environment import find_interpreter
from open_speech_api.installs.folders import Folders
from open_speech_api.runtime.worker import Limits
from open_speech_api.runtime.workers import make_workers
from open_speech_api.settings import Settings
from open_speech_core.errors import InvalidRequest
from open_speech_core.registry import Registry

from . import placing, providers
from .locks import locked
from .machine import family, parse_python, this_machine
from .manifest import FOLDERS, BadBundle, BundledModel, Manifest
from .progress import Progress
from .verifying import verify
from .wheels import unpacked_bytes, wheel_tags

T = TypeVar("T")

BUSY = "another bundle is being installed into this data folder, or a server is just starting with it; try again"
MB = 1 << 20
Count = Callable[[float, float], None]


async def install(
    folder: Path,
    expected: str | None,
    settings: Settings,
    registry: Registry,
    environ: Mapping[str, str],
    progress: Progress,
) -> Manifest:
    """Verify a bundle, then put its weights and providers in force.

    Raises:
        BadBundle: it is not whole, is for another machine, does not fit on the disk, or a provider does not work.
    """
    progress.step("Checking the bundle")
    manifest = await _in_thread(lambda count: verify(folder, expected, count), progress.count)
    python = await _check_machine(manifest, environ)
    root = settings.server.data_root
    models, place = root / "models", _place(folder, settings)
    try:
        for each in (root, models, place.providers):
            each.mkdir(parents=True, exist_ok=True)
        with locked(root, BUSY):
            placing.sweep(models)
            _clear(place.providers, manifest.providers)
            wanted = await asyncio.to_thread(placing.lacking, manifest, models)
            _check_space(folder, manifest, wanted, models, place.providers)
            progress.step("Copying weights")
            work = functools.partial(placing.place, folder, manifest, wanted, models)
            await _in_thread(work, progress.count)
            entries = tuple(_located(entry, folder, python) for entry in manifest.providers)
            make = make_workers(environ, Limits())
            offline = providers.offline(environ, place.wheelhouse)
            await providers.install(entries, place, registry, make, offline, settings, progress)
    except OSError as error:
        raise BadBundle(f"the bundle was not installed: {error.strerror or error}") from error
    return manifest


async def _check_machine(manifest: Manifest, environ: Mapping[str, str]) -> str:
    """Refuse a bundle that was made for others; give the range of Pythons that fit."""
    major, minor = parse_python(manifest.python)
    machine = this_machine((major, minor))
    if family(manifest.platform) != machine.family:
        raise BadBundle(f"the bundle is for {manifest.platform}; this machine is {machine.platform}")
    python = f">={major}.{minor},<{major}.{minor + 1}"
    try:
        await find_interpreter(python, environ)
    except InvalidRequest:
        raise BadBundle(f"the bundle is for Python {manifest.python}, and none is on this machine") from None
    fits = machine.tags()
    for file in manifest.of_kind("wheel"):
        name = file.path.removeprefix(FOLDERS["wheel"])
        if not wheel_tags(name) & fits:
            raise BadBundle(f"{name} does not run on this machine, which is {machine.platform}")
    return python


def _place(folder: Path, settings: Settings) -> Place:
    return Place(
        providers=settings.server.folder("providers").absolute(),
        wheelhouse=(folder / FOLDERS["wheel"]).absolute(),
        models=settings.server.data_root / "models",
        timeout_s=settings.server.install_timeout_s,
        keep_replaced=True,
    )


def _located(entry: Entry, folder: Path, python: str) -> Entry:
    return structs.replace(entry, requirements=str((folder / entry.requirements).absolute()), python=python)


def _clear(folder: Path, entries: tuple[Entry, ...]) -> None:
    """Remove what a killed install of these providers left."""
    names = {entry.name for entry in entries}
    for made in Folders(folder).unfinished():
        if made.mark.name in names:
            made.remove()


def _check_space(
    folder: Path, manifest: Manifest, wanted: list[BundledModel], models: Path, environments: Path
) -> None:
    """Raise ``BadBundle`` before anything is written that would not fit."""
    weights = sum(file.bytes for model in wanted for file in placing.files_of(manifest, model))
    names = {entry.name for entry in manifest.providers}
    unpacked = sum(
        unpacked_bytes(folder / file.path) * len(names & set(file.providers)) for file in manifest.of_kind("wheel")
    )
    needed: dict[int, tuple[Path, int]] = {}
    for place, bytes in ((models, weights), (environments, unpacked)):
        device = os.stat(place).st_dev
        needed[device] = (place, needed.get(device, (place, 0))[1] + bytes)
    for place, bytes in needed.values():
        if (missing := bytes - shutil.disk_usage(place).free) > 0:
            raise BadBundle(f"the disk of {place} lacks {missing // MB + 1} MB of the {bytes // MB + 1} MB needed")


async def _in_thread(work: Callable[[Count], T], count: Count) -> T:
    """Run blocking work that counts; once nobody waits any more, it ends at its next count."""
    left = threading.Event()

    def counted(done: float, total: float) -> None:
        if left.is_set():
            raise BadBundle("interrupted")
        count(done, total)

    try:
        return await asyncio.to_thread(work, counted)
    finally:
        left.set()
