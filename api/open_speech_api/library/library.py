"""Stored voices for all requests: one change at a time, and errors that callers understand."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from open_speech_core.errors import LibraryFull, StorageFull, StoredVoiceNotFound, Unavailable, VoiceExists

from .entries import Entries, Entry
from .names import stored_name

log = logging.getLogger(__name__)


class Library:
    """The voices of one folder, which is made when the first is stored. Any thread; every method blocks.

    Raises:
        Unavailable: the folder cannot be used; the log says why.
    """

    def __init__(self, folder: Path, max_count: int, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """``max_count`` 0 is any number; ``clock`` tells the time in UTC."""
        self._folder = folder
        self._max_count = max_count
        self._clock = clock
        self._entries = Entries(folder)
        self._lock = threading.Lock()

    def voices(self) -> list[Entry]:
        """Give all, by name."""
        with self._held():
            return list(self._entries.all())

    def find(self, name: str, *, param: str | None = None) -> Entry:
        """Give what is known of a voice. Raises ``StoredVoiceNotFound``."""
        with self._held():
            entry = self._entries.find(stored) if (stored := stored_name(name)) else None
        if entry is None:
            raise _unknown(name, param)
        return entry

    def read(self, name: str, *, param: str | None = None) -> tuple[Entry, bytes]:
        """Give a voice and its recording, a WAV. Raises ``StoredVoiceNotFound``, also where it is damaged."""
        with self._held():
            found = self._entries.read(stored) if (stored := stored_name(name)) else None
        if found is None:
            raise _unknown(name, param)
        return found

    def check(self, name: str, *, overwrite: bool) -> None:
        """Raise ``VoiceExists`` or ``LibraryFull`` where a voice of this clean name cannot be stored now."""
        with self._held():
            self._check(name, overwrite)

    def put(
        self,
        name: str,
        data: bytes,
        *,
        sample_rate: int,
        duration_s: float,
        transcript: str | None = None,
        consent: str | None = None,
        overwrite: bool = False,
    ) -> Entry:
        """Store a WAV by a clean name.

        Raises:
            VoiceExists: there is one of this name, and it is not to be replaced.
            LibraryFull: there are as many voices as there may be.
            StorageFull: the disk took no more; what was there before still is.
        """
        entry = Entry(
            name=name,
            content_type="audio/wav",
            size_bytes=len(data),
            created_at=self._clock(),
            duration_s=round(duration_s, 3),
            sample_rate=sample_rate,
            transcript=transcript,
            consent=consent,
            sha256=hashlib.sha256(data).hexdigest(),
        )
        with self._held(make=True):
            self._check(name, overwrite)
            self._entries.put(entry, data)
        return entry

    def remove(self, name: str) -> None:
        """Delete a voice. Of a damaged one the remains are deleted too. Raises ``StoredVoiceNotFound``."""
        with self._held():
            found = self._entries.remove(stored) if self._folder.is_dir() and (stored := stored_name(name)) else False
        if not found:
            raise _unknown(name, None)

    def _check(self, name: str, overwrite: bool) -> None:
        if self._entries.find(name) is not None:
            if not overwrite:
                raise VoiceExists(f"there is a voice {name!r} already; overwrite=true replaces it", param="name")
        elif self._max_count and len(list(self._entries.all())) >= self._max_count:
            raise LibraryFull(
                f"the library holds {self._max_count} voices, the most OS_VOICE_LIBRARY_MAX_COUNT allows; delete one",
                param="name",
            )

    @contextmanager
    def _held(self, *, make: bool = False) -> Iterator[None]:
        """Keep others out, threads and other servers on this folder; turn what the disk says into our errors."""
        try:
            if make:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._lock, _locked(self._folder):
                yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull("not enough free disk to store the voice") from error
            log.warning("the voice library cannot be used: %s", error)
            raise Unavailable("the voice library cannot be used now; the server's log says why") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes; one that is not there needs no holding."""
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        # Some network file systems have no such locks; there one server a folder must do.
        with suppress(OSError):
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _unknown(name: str, param: str | None) -> StoredVoiceNotFound:
    stored = stored_name(name)
    which = f"voice {stored!r}" if stored else "voice of this name"
    return StoredVoiceNotFound(f"the voice library has no {which}; GET /api/voices/library lists them", param=param)
