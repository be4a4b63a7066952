"""The sizes in a WAV header, which who streams cannot know (RIFF, Multimedia Programming Interface 1.0)."""

from __future__ import annotations

import os
import struct
from typing import IO

HEADER = struct.Struct("<4sI4s")
CHUNK = struct.Struct("<4sI")
UNKNOWN = (0, 0x7FFFFFFF, 0xFFFFFFFF)
"""Sizes that writers of streams put in."""


def mend_sizes(file: IO[bytes]) -> None:
    """Put the true sizes into the header of a WAV file that was streamed; anything else is left alone."""
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(HEADER.size)
    if len(head) < HEADER.size or HEADER.unpack(head)[::2] != (b"RIFF", b"WAVE"):
        return
    while len(raw := file.read(CHUNK.size)) == CHUNK.size:
        name, size = CHUNK.unpack(raw)
        start = file.tell()
        if name == b"data":
            if size in UNKNOWN or start + size > end:
                _put(file, start - 4, end - start)
                _put(file, 4, end - CHUNK.size)
            return
        file.seek(start + size + size % 2)


def _put(file: IO[bytes], position: int, value: int) -> None:
    file.seek(position)
    file.write(struct.pack("<I", min(value, 0xFFFFFFFF)))
