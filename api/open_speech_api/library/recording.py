"""What a WAV says of itself, as far as it must be known before it is decoded (RIFF, Microsoft 1991)."""

from __future__ import annotations

import struct
from pathlib import Path

from open_speech_core.errors import InvalidVoice

HEAD_BYTES = 4096
"""The format comes early; what stands before it is short."""
LOWEST_RATE, HIGHEST_RATE = 8_000, 48_000
USUAL_RATE = 24_000


def rate_to_store(path: Path) -> int:
    """Give the rate in Hz at which a WAV is kept: the one it says it has, within bounds. Blocks.

    Whether there is sound in it, a media worker finds out; a wrong rate here does no harm.

    Raises:
        InvalidVoice: it does not begin as a WAV does.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        raise InvalidVoice("audio: must be a WAV file (RIFF/WAVE)", param="audio")
    stated = _stated_rate(head)
    return USUAL_RATE if stated is None else min(max(stated, LOWEST_RATE), HIGHEST_RATE)


def _stated_rate(head: bytes) -> int | None:
    at = 12
    while at + 16 <= len(head):
        name, size = struct.unpack_from("<4sI", head, at)
        if name == b"fmt ":
            return int(struct.unpack_from("<I", head, at + 12)[0])
        at += 8 + size + size % 2
    return None
