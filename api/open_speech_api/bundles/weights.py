"""Gathering a model's own files: what lies on this machine is copied, the rest is fetched as ever.

Whether they are enough is asked of the provider, in a worker that sees no other folder of weights.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from msgspec import Struct

from open_speech_api.runtime.target import Target
from open_speech_api.runtime.worker import Worker
from open_speech_core.hub import folder_name
from open_speech_core.registry import Registry, Resolved
from open_speech_core.types import Artifacts, EngineSpec, LoadSpec, ModelSource
from open_speech_core.worker.protocol import Progress as Fetched

from .manifest import BadBundle, BundledModel, sha256
from .progress import Progress

NOWHERE = "nowhere"
"""Folder that stands for the hub's cache: what lies in the real one would not be in the bundle."""


class Collected(Struct, frozen=True, kw_only=True):
    """A model whose files are at hand."""

    model: BundledModel
    home: Path
    """Folder that the model's paths are relative to."""
    texts_in: Path | None = None
    """Folder beside whose weights texts of licences lie."""


class Collector:
    """Gathers weights below one folder, laid out as ``models`` of a data folder. Belongs to the event loop."""

    def __init__(
        self, models: Path, registry: Registry, make: Callable[[Target], Worker], environ: Mapping[str, str]
    ) -> None:
        self._models = models
        self._registry = registry
        self._make = make
        self._environ = environ

    async def collect(self, found: Resolved, progress: Progress) -> Collected:
        """Gather one model's files.

        Raises:
            BadBundle: a provider that has these files and no others does not call them whole.
            OpenSpeechError: they could not be fetched.
        """
        there = await self._look(found)
        texts_in = None
        if not there.complete:
            texts_in = await self._copy(found, progress)
            there = await self._look(found)
        if not there.complete:
            texts_in = None
            await self._fetch(found, progress)
            there = await self._look(found)
        home = self._home(found)
        inside = [Path(path) for path in there.paths if Path(path).is_relative_to(home)]
        if not there.complete or len(inside) != len(there.paths):
            raise BadBundle(
                f"{found.provider.info.title} does not find the weights of {found.id!r} where they were put for it"
            )
        folder = next((path for path in inside if path.is_dir()), None)
        return Collected(
            model=BundledModel(
                id=found.id,
                kind=found.model.kind,
                provider=found.provider.info.name,
                licence=self._licence(found),
                paths=tuple(path.relative_to(home).as_posix() for path in inside),
            ),
            home=home,
            texts_in=texts_in or folder,
        )

    def _licence(self, found: Resolved) -> str:
        source = self._registry.source(found)
        return (source.licence if source is not None else "") or found.model.licence

    def _home(self, found: Resolved) -> Path:
        return self._models / found.provider.info.name

    async def _look(self, found: Resolved) -> Artifacts:
        """Ask the provider what it finds here."""
        async with self._worker(found) as worker:
            for each in await worker.describe(found.plugin.module, str(self._models)):
                if each.info.name == found.provider.info.name and each.kind == found.model.kind:
                    return each.artifacts.get(found.id, Artifacts())
        return Artifacts()

    async def _fetch(self, found: Resolved, progress: Progress) -> None:
        size = f"{found.model.bytes / 1e6:.0f} MB" if found.model.bytes else "weights of unknown size"
        progress.say(f"Fetching {size} of {found.id}; licence: {found.model.licence or 'unknown'}.")
        progress.step(f"Fetching {found.id}")
        async with self._worker(found) as worker, aclosing(worker.download(self._spec(found))) as frames:
            async for frame in frames:
                if isinstance(frame, Fetched):
                    progress.count(frame.done, frame.total)

    async def _copy(self, found: Resolved, progress: Progress) -> Path | None:
        """Copy what lies on this machine, if anything does; give the folder it lies in."""
        source = self._registry.source(found)
        paths: tuple[str, ...] = ()
        if source is not None:
            paths = (source.path,)
        elif (there := found.provider.artifacts(found.model)).complete:
            paths = there.paths
        if not paths:
            return None
        progress.step(f"Copying {found.id}")
        await asyncio.to_thread(_copy_all, [Path(path) for path in paths], found, self._home(found), source)
        first = Path(paths[0])
        return first if first.is_dir() else first.parent if source is not None else None

    def _spec(self, found: Resolved) -> EngineSpec:
        return EngineSpec(
            plugin=found.plugin.module,
            kind=found.model.kind,
            provider=found.provider.info.name,
            load=LoadSpec(model=found.model, home=str(self._home(found))),
        )

    @asynccontextmanager
    async def _worker(self, found: Resolved) -> AsyncIterator[Worker]:
        """Run a worker that sees what its provider needs for a download, and none of its options."""
        environment = {name: self._environ[name] for name in found.provider.info.environment if name in self._environ}
        environment["HF_HUB_CACHE"] = str(self._models.parent / NOWHERE)
        target = Target(
            key=f"bundle/{found.key}",
            spec=self._spec(found),
            interpreter=found.plugin.interpreter,
            environment=environment,
        )
        worker = self._make(target)
        try:
            await worker.start()
            yield worker
        finally:
            worker.ending = True
            worker.kill()
            await asyncio.shield(worker.gone.wait())


def _copy_all(paths: list[Path], found: Resolved, home: Path, source: ModelSource | None) -> None:
    """Copy files to where the provider looks: the same place in its folder, else by the name that folders there have.

    Each gets its name when it is whole, since what lies here is taken up again after an interruption.
    """
    if source is not None and source.sha256 and sha256(_largest(Path(source.path))) != source.sha256:
        raise BadBundle(f"the weights of {found.id!r} that an installed package ships are damaged: install it anew")
    for path in paths:
        if path.is_relative_to(found.provider.home):
            _copy(path, home / path.relative_to(found.provider.home))
        elif path.is_dir():
            _copy(path, home / folder_name(found.id))
        else:
            for each in sorted(path.parent.glob(f"{path.name}*")):
                _copy(each, home / each.name)


def _copy(path: Path, to: Path) -> None:
    """Copy a file, or a folder without its hidden files; links become what they lead to."""
    partial = to.with_name(f".{to.name}.copy")
    partial.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(path, partial, ignore=shutil.ignore_patterns(".*"))
        shutil.rmtree(to, ignore_errors=True)
    else:
        shutil.copyfile(path, partial)
    partial.rename(to)


def _largest(path: Path) -> Path:
    if path.is_file():
        return path
    files = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    return max(files, key=lambda file: file.stat().st_size)
