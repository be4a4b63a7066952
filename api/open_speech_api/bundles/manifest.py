"""The manifest: what a bundle holds, and which paths it may name."""

from __future__ import annotations

import hashlib
import re
import stat
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from open_speech_api.installs import Entry
from open_speech_core.types import Kind

FORMAT = 1
"""Raised when an older ``open-speech`` could not install what a newer one wrote."""
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
LICENCES = "LICENCES.txt"
SERVER = "server"
"""What the server itself is called beside the providers."""
LARGEST_MANIFEST_BYTES = 16 << 20
HASHED_AT_ONCE = 1 << 20

FileKind = Literal["wheel", "weights", "requirements", "licences", "sums"]
FOLDERS: dict[FileKind, str] = {"wheel": "wheels/", "weights": "weights/", "requirements": "requirements/"}
"""Where files of a kind lie; the others lie at the top."""

_PART = re.compile(r"[^/\\\0\r\n]{1,255}")


class BadBundle(Exception):
    """The bundle, or what was asked of it, cannot be used; the message says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class File(Struct, frozen=True, kw_only=True):
    """One file."""

    path: str
    """Relative to the bundle, with forward slashes."""
    kind: FileKind
    sha256: str
    bytes: int
    licence: str = ""
    """SPDX expression where one is known."""
    providers: tuple[str, ...] = ()
    """Who needs it; ``server`` is the server itself."""
    model: str = ""


class BundledModel(Struct, frozen=True, kw_only=True):
    """One model and its weights."""

    id: str
    kind: Kind
    provider: str
    licence: str = ""
    paths: tuple[str, ...] = ()
    """Its files and folders, relative to the provider's folder: they are replaced as one."""


class Manifest(Struct, frozen=True, kw_only=True):
    """What a bundle holds."""

    format: int = FORMAT
    created: str
    """UTC, ISO 8601."""
    made_by: str
    """Version of the server's distribution."""
    python: str
    """``3.12``"""
    platform: str
    """Platform tag of wheels, such as ``manylinux_2_28_x86_64``."""
    server: bool = False
    """It holds what the server itself needs."""
    providers: tuple[Entry, ...] = ()
    """Entries of the catalogue, for this Python alone; their requirements are files of the bundle."""
    models: tuple[BundledModel, ...] = ()
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        return sum(file.bytes for file in self.files)

    def of_kind(self, kind: FileKind) -> list[File]:
        return [file for file in self.files if file.kind == kind]


class _Format(Struct):
    format: int


def read_manifest(folder: Path) -> Manifest:
    """Read a bundle's manifest. Raises ``BadBundle`` unless it is one of this format that names only what it may."""
    content = _content(folder)
    try:
        if (found := msgspec.json.decode(content, type=_Format).format) != FORMAT:
            raise BadBundle(f"the bundle has format {found}; this version of open-speech reads {FORMAT}")
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadBundle(f"{MANIFEST} is no manifest of a bundle: {error}") from None
    for problem in _problems(manifest):
        raise BadBundle(f"{MANIFEST} {problem}")
    return manifest


def digest(folder: Path) -> str:
    """Give the manifest's SHA-256, which stands for the whole bundle."""
    return hashlib.sha256(_content(folder)).hexdigest()


def encode(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"


def sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def is_inside(path: str) -> bool:
    """Say whether a path, written with slashes, is relative, plain and leads nowhere else."""
    return all(_PART.fullmatch(part) and part not in (".", "..") for part in path.split("/"))


def _content(folder: Path) -> bytes:
    file = folder / MANIFEST
    try:
        status = file.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_MANIFEST_BYTES:
            raise BadBundle(f"{MANIFEST} is no plain file, or far too large")
        return file.read_bytes()
    except FileNotFoundError:
        raise BadBundle(f"{folder} is no bundle: it has no {MANIFEST}") from None
    except OSError as error:
        raise BadBundle(f"{file} cannot be read: {error.strerror}") from None


def _problems(manifest: Manifest) -> list[str]:
    """Say what in a manifest may not be."""
    found = [f"names {path!r}, which is no plain path inside" for path in _paths(manifest) if not is_inside(path)]
    paths = [file.path.casefold() for file in manifest.files]
    found += (
        [f"names {path!r} twice" for path in {path for path in paths if paths.count(path) > 1}]
        if (len(set(paths)) < len(paths))
        else []
    )
    found += [f"has {file.path!r} in the wrong place" for file in manifest.files if not _is_placed(file)]
    names = [entry.name for entry in manifest.providers]
    found += [f"names a provider {name!r} twice" for name in set(names) if names.count(name) > 1]
    requirements = {file.path for file in manifest.of_kind("requirements")}
    found += [
        f"lacks the requirements of {entry.name}"
        for entry in manifest.providers
        if entry.requirements not in requirements
    ]
    for model in manifest.models:
        if model.provider not in names:
            found.append(f"has a model of {model.provider!r}, which it does not hold")
    owned = [f"{FOLDERS['weights']}{model.provider}/{path}" for model in manifest.models for path in model.paths]
    for file in manifest.of_kind("weights"):
        if not any(file.path == path or file.path.startswith(f"{path}/") for path in owned):
            found.append(f"has weights {file.path!r} of no model")
    return found


def _paths(manifest: Manifest) -> list[str]:
    return [*(file.path for file in manifest.files), *(path for model in manifest.models for path in model.paths)]


def _is_placed(file: File) -> bool:
    folder = FOLDERS.get(file.kind)
    if folder is None:
        return file.path == (SUMS if file.kind == "sums" else LICENCES)
    inner = file.path.removeprefix(folder)
    return inner != file.path and (file.kind == "weights" or "/" not in inner)
