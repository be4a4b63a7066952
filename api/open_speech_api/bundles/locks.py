"""Folders that one process at a time may change."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .manifest import BadBundle


@contextmanager
def locked(folder: Path, refusal: str) -> Iterator[None]:
    """Hold a folder that is there until the block, or the process, ends. Raises ``BadBundle`` where it is held."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadBundle(refusal) from None
        yield
    finally:
        os.close(held)
