"""The folder of the library: two files a voice, which are replaced together or not at all.

``anne.audio.wav`` is the recording, ``anne.meta.json`` says what it is. A voice is there when both are and fit. The new
recording is first staged beside them; renaming the new description is the moment from which the new voice counts, and
whoever looks next puts a recording that was left staged where it belongs. So a process killed at any point leaves the
voice as it was or as it was to be.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from .names import is_name

META_SUFFIX = ".meta.json"
META_MAX_BYTES = 1 << 20
STAGED_AUDIO, STAGED_META = ".staged.wav", ".staged.json"


class Entry(Struct, frozen=True, kw_only=True):
    """What is known of a stored voice. Those without a default are there since the first Open Speech."""

    name: str
    content_type: str
    size_bytes: int
    created_at: datetime
    duration_s: float | None = None
    sample_rate: int | None = None
    """In Hz."""
    transcript: str | None = None
    """What is said in the recording."""
    consent: str | None = None
    """How the speaker agreed, in the owner's words."""
    sha256: str | None = None
    """Of the recording, in hexadecimal digits."""


class Entries:
    """The files. Every method blocks, and none may run beside another; ``Library`` sees to that.

    Raises ``OSError``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> Iterator[Entry]:
        """Give the voices in order of their names; damaged ones are left out."""
        found = (path.name.removesuffix(META_SUFFIX) for path in self._folder.glob(f"*{META_SUFFIX}"))
        for name in sorted(found):
            if is_name(name) and (entry := self.find(name)) is not None:
                yield entry

    def find(self, name: str) -> Entry | None:
        """Give a voice; None where there is none, or its files do not fit each other."""
        self._settle(name)
        entry = self._described(name)
        whole = entry is not None and _plain_size(self._audio(name)) == entry.size_bytes
        return entry if whole else None

    def read(self, name: str) -> tuple[Entry, bytes] | None:
        """Give a voice with its recording; None also where the recording is not the one that was stored."""
        if (entry := self.find(name)) is None:
            return None
        try:
            data = self._audio(name).read_bytes()
        except (PermissionError, FileNotFoundError):
            return None
        return (entry, data) if entry.sha256 in (None, _digest(data)) else None

    def put(self, entry: Entry, data: bytes) -> None:
        """Store a voice, or replace the one of its name."""
        self._sweep()
        staged = self._staged(entry.name)
        described = self._folder / f".{entry.name}{STAGED_META}"
        try:
            _write(staged, data)
            _write(described, msgspec.json.encode(entry))
            described.rename(self._meta(entry.name))
        except BaseException:
            staged.unlink(missing_ok=True)
            described.unlink(missing_ok=True)
            raise
        staged.rename(self._audio(entry.name))
        self._sync()

    def remove(self, name: str) -> bool:
        """Delete all files of a name, whole or not; say whether it was a voice."""
        was_whole = self.find(name) is not None
        # The description last: what a kill leaves is no recording that nobody sees.
        for path in (self._audio(name), self._staged(name), self._meta(name)):
            path.unlink(missing_ok=True)
        self._sync()
        return was_whole

    def _settle(self, name: str) -> None:
        """Finish or undo what a killed process began."""
        staged = self._staged(name)
        if _plain_size(staged) is None:
            return
        entry = self._described(name)
        # Where that is impossible the voice is damaged, and the others are not.
        with suppress(OSError):
            if entry is not None and entry.sha256 == _digest(staged.read_bytes()):
                staged.rename(self._audio(name))
            else:
                staged.unlink()

    def _sweep(self) -> None:
        """Settle every voice, whoever asks for it, so that no recording is left where nobody sees it."""
        for left in list(self._folder.glob(f".*{STAGED_AUDIO}")):
            self._settle(left.name[1:].removesuffix(STAGED_AUDIO))
        for left in list(self._folder.glob(f".*{STAGED_META}")):
            left.unlink()

    def _described(self, name: str) -> Entry | None:
        path = self._meta(name)
        if (_plain_size(path) or META_MAX_BYTES) >= META_MAX_BYTES:
            return None
        try:
            entry = msgspec.json.decode(path.read_bytes(), type=Entry)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, PermissionError, FileNotFoundError):
            return None
        return entry if entry.name == name else None

    def _sync(self) -> None:
        """Bring the renames to the disk."""
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _audio(self, name: str) -> Path:
        return self._folder / f"{name}.audio.wav"

    def _meta(self, name: str) -> Path:
        return self._folder / f"{name}{META_SUFFIX}"

    def _staged(self, name: str) -> Path:
        return self._folder / f".{name}{STAGED_AUDIO}"


def _plain_size(path: Path) -> int | None:
    """Give a file's size; None where there is none, or it is a link, a folder or a pipe."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write(path: Path, data: bytes) -> None:
    """Write a file of our own, readable by us alone, down to the disk."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
