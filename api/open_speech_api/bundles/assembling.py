"""The last step of making a bundle: weights move in, licences and digests are written down."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct, structs

from .licences import render
from .manifest import FOLDERS, LICENCES, MANIFEST, SUMS, File, FileKind, Manifest, encode, sha256
from .weights import Collected
from .wheels import Wheel


class Package(Struct, frozen=True, kw_only=True):
    """Wheels that are installed together."""

    name: str
    wheels: tuple[Wheel, ...]


def assemble(part: Path, packages: Sequence[Package], models: Sequence[Collected], manifest: Manifest) -> Manifest:
    """Complete a bundle whose wheels and requirements are there, and its manifest. Blocks."""
    wheels = {wheel.file: wheel for package in packages for wheel in package.wheels}
    (part / LICENCES).write_text(render(wheels.values(), models), encoding="utf-8")
    files = [*_requirements(part, packages), *_wheels(part, packages), _file(part, part / LICENCES, "licences")]
    for each in models:
        files += _weights(part, each)
    files.sort(key=lambda file: file.path)
    (part / SUMS).write_text("".join(f"{file.sha256}  {file.path}\n" for file in files), encoding="utf-8")
    manifest = structs.replace(
        manifest,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        models=tuple(each.model for each in models),
        files=(*files, _file(part, part / SUMS, "sums")),
    )
    (part / MANIFEST).write_bytes(encode(manifest))
    return manifest


def _requirements(part: Path, packages: Sequence[Package]) -> Iterator[File]:
    for package in packages:
        yield _file(part, part / FOLDERS["requirements"] / f"{package.name}.txt", "requirements", package.name)


def _wheels(part: Path, packages: Sequence[Package]) -> Iterator[File]:
    """Describe each wheel once, with all who need it."""
    users: dict[Path, list[str]] = {}
    for package in packages:
        for wheel in package.wheels:
            users.setdefault(wheel.file, []).append(package.name)
    licences = {wheel.file: wheel.licence for package in packages for wheel in package.wheels}
    for path, names in users.items():
        yield _file(part, path, "wheel", *names, licence=licences[path])


def _weights(part: Path, each: Collected) -> Iterator[File]:
    """Move one model's files into the bundle."""
    into = part / FOLDERS["weights"] / each.model.provider
    for path in each.model.paths:
        (into / path).parent.mkdir(parents=True, exist_ok=True)
        (each.home / path).rename(into / path)
        for file in _below(into / path):
            yield _file(part, file, "weights", each.model.provider, licence=each.model.licence, model=each.model.id)


def _below(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for folder, _, names in os.walk(path):
        yield from (Path(folder, name) for name in names)


def _file(part: Path, file: Path, kind: FileKind, *providers: str, licence: str = "", model: str = "") -> File:
    return File(
        path=file.relative_to(part).as_posix(),
        kind=kind,
        sha256=sha256(file),
        bytes=file.stat().st_size,
        licence=licence,
        providers=providers,
        model=model,
    )
