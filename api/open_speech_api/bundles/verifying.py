"""Comparing a bundle with its manifest, byte by byte."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from .manifest import HASHED_AT_ONCE, MANIFEST, BadBundle, Manifest, digest, read_manifest
from .requirements import check_written

SHOWN = 20


def verify(folder: Path, expected: str | None, count: Callable[[float, float], None]) -> Manifest:
    """Read every file; give the manifest. Changes nothing. Blocks.

    ``expected`` is the digest that ``create`` printed, in case somebody replaced files and manifest alike.

    Raises:
        BadBundle: a file is missing, damaged, a link, or not in the manifest; each is named.
    """
    manifest = read_manifest(folder)
    if expected is not None and digest(folder) != expected.lower():
        raise BadBundle(f"the digest of {MANIFEST} is {digest(folder)}, not {expected}: it is another bundle")
    try:
        problems = [*_strangers(folder, manifest), *_differences(folder, manifest, count)]
    except OSError as error:
        raise BadBundle(f"the bundle cannot be read: {error.strerror or error}") from None
    if problems:
        more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        raise BadBundle("\n".join(["the bundle is not whole:", *problems[:SHOWN], *more]))
    for file in manifest.of_kind("requirements"):
        check_written(folder / file.path)
    return manifest


def _strangers(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Name what the manifest does not; a link is never followed."""
    known = {MANIFEST, *(file.path for file in manifest.files)}
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(parent, name)
            shown = path.relative_to(folder).as_posix()
            mode = path.lstat().st_mode
            if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
                yield f"{shown!a} is a link or a device"
            elif stat.S_ISREG(mode) and shown not in known:
                yield f"{shown!a} is not in the manifest"


def _differences(folder: Path, manifest: Manifest, count: Callable[[float, float], None]) -> Iterator[str]:
    done = 0
    for file in manifest.files:
        path = folder / file.path
        if not _is_plain(folder, file.path):
            yield f"{file.path!a} is missing, or no plain file"
        elif path.stat().st_size != file.bytes:
            yield f"{file.path!a} has {path.stat().st_size} bytes, not {file.bytes}"
        elif _sha256(path, done, manifest.size, count) != file.sha256:
            yield f"{file.path!a} is damaged: its SHA-256 is another"
        done += file.bytes
        count(done, manifest.size)


def _is_plain(folder: Path, path: str) -> bool:
    """Say whether a file is there and neither it nor a folder on the way is a link."""
    place = folder
    parts = path.split("/")
    for part in parts[:-1]:
        place /= part
        if place.is_symlink() or not place.is_dir():
            return False
    place /= parts[-1]
    return place.is_file() and not place.is_symlink()


def _sha256(path: Path, done: int, total: int, count: Callable[[float, float], None]) -> str:
    found = hashlib.sha256()
    with path.open("rb") as content:
        while block := content.read(HASHED_AT_ONCE):
            found.update(block)
            count(done := done + len(block), total)
    return found.hexdigest()
