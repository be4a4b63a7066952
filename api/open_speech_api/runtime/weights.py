"""The files of a model on this machine: looked at, and deleted without touching anybody else's."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from open_speech_core.errors import FeatureNotSupported

log = logging.getLogger(__name__)

DOOMED = ".deleting-"
"""Folders are renamed to this before they are emptied, so that none looks whole when we are killed meanwhile."""
REPOSITORY = "models--"
"""How the hub's cache begins the name of a repository's folder; snapshots in it are links to its blobs."""


SWEPT_LEVELS = 3
"""A model's folder is at most so deep below its root; what is in it is the model's business."""


class Found(Struct, frozen=True, kw_only=True):
    """A file or folder of a model, or a link to one, and its name as callers see it."""

    path: Path
    name: str


def files(paths: Iterable[str], roots: Iterable[Path]) -> list[tuple[str, int]]:
    """Give name and size in bytes of every file of a model, sorted."""
    listed: list[tuple[str, int]] = []
    for found in _named(paths, list(roots)):
        for file in _within(found.path):
            inner = file.relative_to(found.path).as_posix() if file != found.path else ""
            with contextlib.suppress(OSError):
                listed.append((f"{found.name}/{inner}".rstrip("/"), file.stat().st_size))
    return sorted(listed)


def remove(paths: Iterable[str], roots: Iterable[Path]) -> tuple[list[str], int]:
    """Delete what a provider named; give the names and the bytes that came free. Blocks.

    Of a link only the link goes: what it leads to is somebody else's.

    Raises:
        FeatureNotSupported: a path does not lie below one of ``roots`` once the links on the way are followed, and
            nothing was deleted; or the system does not let it be deleted.
    """
    names: list[str] = []
    freed = 0
    for found in _named(paths, list(roots)):
        size = _freed_bytes(found.path)
        try:
            gone = _delete(found.path)
        except OSError as error:
            raise FeatureNotSupported(f"{found.name!r} cannot be deleted: {error.strerror}", param="model") from error
        if gone:
            names.append(found.name)
            freed += size
    return names, freed


def sweep(root: Path) -> None:
    """Finish deletions that a killed server left. Blocks."""
    for level in range(SWEPT_LEVELS):
        for left in root.glob("*/" * level + f"{DOOMED}*"):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)


def _named(paths: Iterable[str], roots: list[Path]) -> list[Found]:
    """Name what is there relative to its root; a snapshot in a hub's cache stands for its whole repository."""
    found: dict[Path, Found] = {}
    for path in map(Path, paths):
        own = _repository(path) or path
        if not os.path.lexists(own):
            continue
        real = own.parent.resolve() / own.name if own.is_symlink() else own.resolve()
        within = [root for root in (each.resolve() for each in roots) if real != root and real.is_relative_to(root)]
        if not within:
            raise FeatureNotSupported("its files lie outside the server's folders; delete them by hand", param="model")
        found[real] = Found(path=real, name=real.relative_to(within[0]).as_posix())
    return list(found.values())


def _repository(path: Path) -> Path | None:
    """Give the repository's folder in a hub's cache that holds a snapshot."""
    if path.parent.name == "snapshots" and path.parent.parent.name.startswith(REPOSITORY):
        return path.parent.parent
    return None


def _within(path: Path) -> Iterator[Path]:
    """Give the files of a folder that are no links, or the file itself."""
    if path.is_file():
        yield path
        return
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            if not file.is_symlink():
                yield file


def _freed_bytes(path: Path) -> int:
    """Sum what would come free; a file with another name elsewhere stays."""
    if path.is_symlink():
        return 0
    size = 0
    for file in _within(path):
        with contextlib.suppress(OSError):
            status = file.stat()
            size += status.st_size if status.st_nlink == 1 else 0
    return size


def _delete(path: Path) -> bool:
    """Delete a file, a link or a folder with all in it. False when somebody else did."""
    doomed = path.with_name(f"{DOOMED}{uuid.uuid4().hex}")
    try:
        if path.is_symlink() or path.is_file():
            path.unlink()
            return True
        path.rename(doomed)
    except FileNotFoundError:
        return False
    shutil.rmtree(doomed, ignore_errors=True)
    if doomed.exists():
        log.warning("some of a deleted model's files could not be removed; they are removed at the next start")
    return True
