"""Wheels: what is in them, and fetching those that fit a machine."""

from __future__ import annotations

import email.parser
import functools
import importlib.metadata
import re
import shutil
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from email.message import Message
from pathlib import Path

from msgspec import Struct, structs
from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from open_speech_api.installs.environment import filtered, module, redact, run
from open_speech_core.errors import InstallFailed

from .machine import Machine
from .manifest import BadBundle, sha256
from .progress import Progress
from .requirements import Pin, write_pins

LONGEST_LICENCE_NAME = 100
TEXTS = re.compile(r"[^/]+\.dist-info/(licenses/.+|(licen[cs]e|copying|notice|authors)[^/]*)", re.IGNORECASE)
"""Where a wheel keeps the texts of its licences (PEP 639, and before it)."""
LAST_LINES = 8
RAW_PROGRESS = Version("24.1")
"""From this version on pip tells bytes to programs."""


class Wheel(Struct, frozen=True, kw_only=True):
    """A wheel file and what its metadata says."""

    file: Path
    name: str
    """Normalised."""
    version: str
    tags: frozenset[Tag]
    sha256: str
    licence: str
    requires: tuple[str, ...]
    python: str
    """``Requires-Python``."""

    @property
    def pin(self) -> Pin:
        return Pin(name=self.name, version=self.version, hashes=frozenset((self.sha256,)))


def read_wheel(file: Path) -> Wheel:
    """Read a wheel's name and metadata. Raises ``BadBundle``."""
    try:
        name, version, _, fits = parse_wheel_filename(file.name)
        with zipfile.ZipFile(file) as archive:
            inner = next(each for each in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", each))
            metadata = email.parser.Parser().parsestr(archive.read(inner).decode("utf-8", "replace"))
    except (InvalidWheelFilename, zipfile.BadZipFile, StopIteration, OSError) as error:
        raise BadBundle(f"{file.name} is no wheel: {error}") from None
    return Wheel(
        file=file,
        name=canonicalize_name(name),
        version=str(version),
        tags=frozenset(fits),
        sha256=sha256(file),
        licence=_licence(metadata),
        requires=tuple(map(str, metadata.get_all("Requires-Dist", []))),
        python=str(metadata.get("Requires-Python", "")),
    )


def wheel_tags(name: str) -> frozenset[Tag]:
    """Give what a wheel says, by its name, that it runs on. Raises ``BadBundle``."""
    try:
        return parse_wheel_filename(name)[3]
    except InvalidWheelFilename:
        raise BadBundle(f"{name} is no name of a wheel") from None


def licence_texts(file: Path) -> Iterator[tuple[str, str]]:
    """Give name and text of each licence in a wheel."""
    with zipfile.ZipFile(file) as archive:
        for name in sorted(archive.namelist()):
            if TEXTS.fullmatch(name) and not name.endswith("/"):
                yield name.partition("/")[2], archive.read(name).decode("utf-8", "replace")


def unpacked_bytes(file: Path) -> int:
    with zipfile.ZipFile(file) as archive:
        return sum(each.file_size for each in archive.infolist())


async def fetch(
    pins: list[Pin], machine: Machine, folder: Path, environ: Mapping[str, str], progress: Progress
) -> list[Wheel]:
    """Fetch the wheels of exact requirements into ``folder``, each with one of its digests.

    Raises:
        BadBundle: one cannot be had for that machine, or is not what was pinned.
    """
    incoming = folder / ".incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir(parents=True)
    write_pins(incoming / "wanted.txt", pins)
    command = module(sys.executable, "pip", "download", *_arguments(machine, incoming))
    said: list[str] = []
    try:
        await run(command, filtered(environ), functools.partial(_listen, said, progress))
    except InstallFailed:
        last = redact("\n".join(said[-LAST_LINES:]), environ)
        raise BadBundle(f"not all wheels for Python {machine.version} on {machine.platform} came:\n{last}") from None
    wheels = [read_wheel(file) for file in sorted(incoming.glob("*.whl"))]
    _check(wheels, pins, machine)
    kept = [structs.replace(wheel, file=wheel.file.replace(folder / wheel.file.name)) for wheel in wheels]
    shutil.rmtree(incoming)
    return kept


def closure_problems(wheels: Iterable[Wheel], machine: Machine, extras: Mapping[str, str]) -> list[str]:
    """Say what wheels require on a machine and is not among them; ``extras`` of distributions are theirs too."""
    found = {wheel.name: wheel for wheel in wheels}
    problems: list[str] = []
    for wheel in found.values():
        for text in wheel.requires:
            try:
                wanted = Requirement(text)
            except InvalidRequirement:
                problems.append(f"{wheel.name} requires {text!r}, which nobody can read")
                continue
            if not _applies(wanted, machine, ("", extras.get(wheel.name, ""))):
                continue
            there = found.get(canonicalize_name(wanted.name))
            if there is None or not wanted.specifier.contains(there.version, prereleases=True):
                has = f"; {there.version} is there" if there else ""
                problems.append(f"{wheel.name} {wheel.version} requires {wanted.name}{wanted.specifier}{has}")
    return problems


def _applies(wanted: Requirement, machine: Machine, extras: tuple[str, ...]) -> bool:
    if wanted.marker is None:
        return True
    return any(wanted.marker.evaluate({**machine.markers(), "extra": extra}) for extra in extras)


def _arguments(machine: Machine, folder: Path) -> list[str]:
    major, minor = machine.python
    bar = "raw" if _pip() >= RAW_PROGRESS else "off"
    platforms = [argument for tag in machine.platforms for argument in ("--platform", tag)]
    return [
        *("--no-input", "--disable-pip-version-check", "--progress-bar", bar, "--no-deps", "--require-hashes"),
        *("--only-binary", ":all:", "--implementation", "cp", "--python-version", machine.version),
        *("--abi", f"cp{major}{minor}", *platforms),
        *("--dest", str(folder), "--requirement", str(folder / "wanted.txt")),
    ]


def _pip() -> Version:
    try:
        return Version(importlib.metadata.version("pip"))
    except importlib.metadata.PackageNotFoundError:
        raise BadBundle("pip is not in the environment of open-speech; add it with: python -m ensurepip") from None


def _listen(said: list[str], progress: Progress, line: str) -> None:
    """Turn what pip says into progress."""
    if match := re.match(r"Progress (\d+) of (\d+)", line):
        progress.count(int(match[1]), int(match[2]))
        return
    said.append(line.rstrip())
    if match := re.match(r"Collecting ([\w.-]+)==(\S+)", line):
        progress.step(f"Fetching {match[1]} {match[2]}")


def _check(wheels: list[Wheel], pins: list[Pin], machine: Machine) -> None:
    fits = machine.tags()
    for pin in pins:
        came = [wheel for wheel in wheels if wheel.name == pin.name]
        if len(came) != 1 or came[0].sha256 not in pin.hashes or not came[0].tags & fits:
            raise BadBundle(f"{pin.name} {pin.version} did not come as one wheel for {machine.platform}")


def _licence(metadata: Message) -> str:
    """Give the licence's name: an expression, a short name, or what the classifiers say."""
    for field in ("License-Expression", "License"):
        text = str(metadata.get(field, "")).strip()
        if text and text.lower() != "unknown" and "\n" not in text and len(text) <= LONGEST_LICENCE_NAME:
            return text
    classifiers = [str(each) for each in metadata.get_all("Classifier", [])]
    names = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::")]
    return " or ".join(names)
