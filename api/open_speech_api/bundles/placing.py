"""Putting a bundle's weights where their providers look: each model as a whole, by renaming."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .manifest import FOLDERS, HASHED_AT_ONCE, BadBundle, BundledModel, File, Manifest, sha256

STAGE = ".bundle"
"""Folder in a provider's, in which new files wait until all are there, and old ones until those are in their place."""

Count = Callable[[float, float], None]


def lacking(manifest: Manifest, models: Path) -> list[BundledModel]:
    """Give the models whose files are not here, or are others."""
    return [model for model in manifest.models if not _is_here(manifest, model, models)]


def place(folder: Path, manifest: Manifest, wanted: list[BundledModel], models: Path, count: Count) -> None:
    """Put models into place. Blocks.

    A model whose old files give way is for an instant not there; never are old and new ones mixed.
    Raises ``BadBundle`` when a file is not what it was when the bundle was verified; that model is as it was.
    """
    total = sum(file.bytes for model in wanted for file in files_of(manifest, model))
    done = 0
    for model in wanted:
        stage = models / model.provider / STAGE
        shutil.rmtree(stage, ignore_errors=True)
        for file in files_of(manifest, model):
            to = stage / "new" / _within(file)
            to.parent.mkdir(parents=True, exist_ok=True)
            _copy(folder / file.path, to, file.sha256)
            count(done := done + file.bytes, total)
        _swap(model.paths, stage, models / model.provider)
        shutil.rmtree(stage, ignore_errors=True)


def sweep(models: Path) -> None:
    """Remove what a killed install left. Blocks."""
    for stage in models.glob(f"*/{STAGE}"):
        shutil.rmtree(stage, ignore_errors=True)


def files_of(manifest: Manifest, model: BundledModel) -> list[File]:
    """Give the files of a model."""
    own = [f"{FOLDERS['weights']}{model.provider}/{path}" for path in model.paths]
    return [
        file
        for file in manifest.of_kind("weights")
        if any(file.path == path or file.path.startswith(f"{path}/") for path in own)
    ]


def _within(file: File) -> str:
    """Give a file's path within its provider's folder."""
    return file.path.removeprefix(FOLDERS["weights"]).partition("/")[2]


def _is_here(manifest: Manifest, model: BundledModel, models: Path) -> bool:
    for file in files_of(manifest, model):
        path = models / model.provider / _within(file)
        if not path.is_file() or path.stat().st_size != file.bytes or sha256(path) != file.sha256:
            return False
    return True


def _copy(path: Path, to: Path, expected: str) -> None:
    """Copy a file to the disk itself, comparing what is written."""
    found = hashlib.sha256()
    with path.open("rb") as content, to.open("wb") as out:
        while block := content.read(HASHED_AT_ONCE):
            found.update(block)
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
    if found.hexdigest() != expected:
        raise BadBundle(f"{path.name} changed while the bundle was installed: its SHA-256 is another")


def _swap(paths: tuple[str, ...], stage: Path, home: Path) -> None:
    """Let new files take the place of old ones; where that fails, the old ones are back."""
    old = stage / "old"
    old.mkdir()
    aside: list[tuple[Path, Path]] = []
    try:
        for number, path in enumerate(paths):
            if os.path.lexists(home / path):
                aside.append((home / path, old / str(number)))
                (home / path).rename(old / str(number))
        for path in paths:
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (stage / "new" / path).rename(home / path)
    except OSError:
        for place, kept in aside:
            with suppress(OSError):
                if place.is_dir() and not place.is_symlink():
                    shutil.rmtree(place)
                kept.replace(place)
        raise
