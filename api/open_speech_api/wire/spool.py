"""An upload on its way from the socket to a file of its own."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from open_speech_core.errors import StorageFull, UploadTooLarge

BLOCK_BYTES = 1 << 20
"""Written at once. Small enough for memory, large enough that the hop to a thread costs under a tenth."""

SLICE_BYTES = 256 * 1024
"""Parsed at once, whatever the server hands over. Four of these fill a block, whose write lets others run."""


class Spool:
    """A file readable by us alone that grows block by block and never past its limit.

    Blocks are written on a thread: the page cache takes them in 0.1 ms, but a disk that is flushing can hold
    a writer for seconds, and the loop must not wait with it. Each write opens the file anew, so that a caller
    who is cancelled while a thread still writes leaves no descriptor behind.
    """

    def __init__(self, folder: Path, *, max_bytes: int, param: str) -> None:
        self.path = folder / f"upload-{secrets.token_hex(8)}"
        self.size_bytes = 0
        self._max_bytes = max_bytes
        self._param = param
        self._block = bytearray()
        os.close(_open(self.path, os.O_CREAT | os.O_EXCL))

    async def write(self, data: bytes | bytearray) -> None:
        """Take bytes of any number; raise ``UploadTooLarge`` or ``StorageFull``."""
        self.size_bytes += len(data)
        if self.size_bytes > self._max_bytes:
            raise too_large(self._max_bytes, self._param)
        self._block += data
        if len(self._block) >= BLOCK_BYTES:
            await self._drain()

    async def finish(self) -> None:
        """Write what is left."""
        if self._block:
            await self._drain()

    def discard(self) -> None:
        """Delete the file. Not on a thread, so that it also works while the task is being cancelled."""
        self.path.unlink(missing_ok=True)

    async def _drain(self) -> None:
        block, self._block = self._block, bytearray()
        with _room():
            await asyncio.to_thread(_append, self.path, block)


def keep(path: Path, data: bytes) -> None:
    """Write a recording that is in memory already to a file of its own. Blocks; raises ``StorageFull``."""
    with _room(), os.fdopen(_open(path, os.O_CREAT | os.O_EXCL), "wb") as file:
        file.write(data)


def too_large(max_bytes: int, param: str) -> UploadTooLarge:
    """Say the limit."""
    return UploadTooLarge(f"the upload is larger than {max_bytes / 1e6:g} MB", param=param)


def slices(chunk: bytes) -> Iterator[bytes]:
    """Cut what is too much to parse at once."""
    if 0 < len(chunk) <= SLICE_BYTES:
        yield chunk
        return
    for start in range(0, len(chunk), SLICE_BYTES):
        yield chunk[start : start + SLICE_BYTES]


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("not enough free disk to take the upload") from error
        raise


def _append(path: Path, block: bytearray) -> None:
    with os.fdopen(_open(path, os.O_APPEND), "ab") as file:
        file.write(block)


def _open(path: Path, flags: int) -> int:
    return os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
