"""Providers in environments of their own, made with the code that installs them while the server runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from open_speech_api.installs import Entry, Installs, Place
from open_speech_api.runtime.downloads import Downloads
from open_speech_api.runtime.pool import Pool
from open_speech_api.runtime.target import Policy, Target
from open_speech_api.runtime.targets import Targets
from open_speech_api.runtime.worker import Worker
from open_speech_api.settings import Settings
from open_speech_core.errors import OpenSpeechError
from open_speech_core.registry import Registry
from open_speech_core.types import Artifacts

from .manifest import BadBundle
from .progress import Progress

LOOK_EVERY_S = 0.1
LAST_LINES = 8


def offline(environ: Mapping[str, str], wheels: Path) -> dict[str, str]:
    """Give an environment in which pip, and uv, know these wheels and no index."""
    kept = {name: value for name, value in environ.items() if not name.startswith(("PIP_", "UV_"))}
    where = wheels.absolute().as_uri()
    return kept | {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": where,
        "UV_OFFLINE": "1",
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": where,
    }


async def install(
    entries: tuple[Entry, ...],
    place: Place,
    registry: Registry,
    make: Callable[[Target], Worker],
    environ: Mapping[str, str],
    settings: Settings,
    progress: Progress,
) -> None:
    """Install providers one after the other. What was replaced stays until the next start of the server.

    Raises:
        BadBundle: one could not be installed; those before it are, and its former environment is as it was.
    """
    downloads = Downloads(make, _unnoted)
    pool = Pool(Policy(), make, fetch=downloads.fetch)
    targets = Targets(settings, registry, environ)
    installs = Installs(entries, place, registry, pool, downloads, make, environ, targets)
    try:
        for entry in entries:
            await _install(installs, entry, progress)
    finally:
        await installs.close()


async def _install(installs: Installs, entry: Entry, progress: Progress) -> None:
    try:
        job = await installs.start(entry.name, again=True)
    except OpenSpeechError as error:
        raise BadBundle(f"{entry.name} was not installed: {error.message}") from error
    while job.status == "installing":
        progress.step(f"Installing {entry.name}: {job.step}")
        await asyncio.sleep(LOOK_EVERY_S)
    if job.status != "done":
        last = "\n".join(job.output.splitlines()[-LAST_LINES:])
        raise BadBundle(f"{entry.name} was not installed: {job.error}\n{last}".rstrip())


def _unnoted(target: Target, there: Artifacts) -> None:
    """Nothing is downloaded here."""
