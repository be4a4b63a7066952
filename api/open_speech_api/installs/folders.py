"""The folders of environments: ``NAME-NUMBER`` below the providers' folder, each with a mark of what it was made from.

One with a description is in force, and of a name the highest number. Writing a description is the switch: nothing is
moved, so that what an environment says about its own files stays true. Folders without a mark are not ours to touch.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import shutil
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import msgspec
from msgspec import Struct

from open_speech_core.remote import DESCRIPTION, write_whole

from .catalogue import Entry, pins

log = logging.getLogger(__name__)

MARK = "made.json"
FORMER = "former.json"
"""A description that is out of force; somebody may still work there."""
REMOVE_S = 1.0
"""A process that was just killed may have a file left to write."""
REMOVE_AGAIN_S = 0.02


class Mark(Struct, frozen=True, kw_only=True):
    """What a folder was made from."""

    name: str
    """Of the catalogue's entry."""
    version: str
    core: str
    """Version of the server's own core at that time."""
    pins: tuple[str, ...]

    def is_of(self, entry: Entry) -> bool:
        """Say whether an install would bring nothing new: a bundle pins only what its machine needs of the same."""
        now = mark_of(entry)
        return (self.version, self.core) == (now.version, now.core) and set(self.pins) <= set(now.pins)


def mark_of(entry: Entry) -> Mark:
    """Give what an environment of an entry would be made from now."""
    return Mark(name=entry.name, version=entry.version, core=version("open-speech-core"), pins=pins(entry))


class Made(Struct, frozen=True, kw_only=True):
    """A folder that was made here."""

    path: Path
    mark: Mark
    number: int

    @property
    def in_force(self) -> bool:
        return (self.path / DESCRIPTION).is_file()

    @property
    def unfinished(self) -> bool:
        """It never was in force."""
        return not self.in_force and not (self.path / FORMER).is_file()

    def retire(self) -> None:
        """Put it out of force; its files stay until they are removed."""
        with contextlib.suppress(FileNotFoundError):
            (self.path / DESCRIPTION).replace(self.path / FORMER)

    def remove(self) -> None:
        """Remove it, the mark last: what is left of it is then found at the next start. Blocks."""
        self.retire()
        until = time.monotonic() + REMOVE_S
        while True:
            with contextlib.suppress(OSError):
                if not self.path.exists():
                    return
                for child in self.path.iterdir():
                    if child.name != MARK:
                        shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
                shutil.rmtree(self.path)
                return
            if time.monotonic() > until:
                log.warning("%s could not be removed whole", self.path)
                return
            time.sleep(REMOVE_AGAIN_S)


class Folders:
    """The environments below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, name: str) -> Made | None:
        """Give the environment of a name that is in force."""
        found = (made for made in self._all() if made.mark.name == name and made.in_force)
        return max(found, key=lambda made: made.number, default=None)

    def make(self, entry: Entry) -> Made:
        """Make a new folder, not in force. Raises ``OSError``."""
        self.root.mkdir(parents=True, exist_ok=True)
        mark = mark_of(entry)
        start = 1 + max((made.number for made in self._all() if made.mark.name == entry.name), default=0)
        for number in itertools.count(start):
            path = self.root / f"{entry.name}-{number}"
            with contextlib.suppress(FileExistsError):
                path.mkdir()
                write_whole(path / MARK, msgspec.json.encode(mark))
                return Made(path=path, mark=mark, number=number)
        raise AssertionError

    def superseded(self) -> list[Made]:
        """Put out of force what a later one replaced, and give all that is not: what a killed server left."""
        left: list[Made] = []
        for made in self._all():
            if made != self.find(made.mark.name):
                made.retire()
                left.append(made)
        return left

    def unfinished(self) -> list[Made]:
        """Give what a killed install left, and what one that runs is making."""
        return [made for made in self._all() if made.unfinished]

    def _all(self) -> Iterator[Made]:
        for file in self.root.glob(f"*/{MARK}"):
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                mark = msgspec.json.decode(file.read_bytes(), type=Mark)
                number = file.parent.name.removeprefix(f"{mark.name}-")
                if number.isdecimal():
                    yield Made(path=file.parent, mark=mark, number=int(number))
