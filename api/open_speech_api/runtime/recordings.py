"""Short recordings that come with a request, decoded and encoded whole."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

from open_speech_core.errors import ProtocolError
from open_speech_core.types import Chunk, Decoded, DecodeRequest, EncodeConfig, Item, MappedFile

from .effects import Effects
from .pool import Pool
from .target import Target
from .worker import UNLIMITED_ITEMS, Spent

NONE = Effects()
BYTES_PER_SAMPLE = 4
LEAST_REFERENCE_S, MOST_REFERENCE_S = 1.0, 120.0
"""Length of a recording to clone; engines say what they use of it."""


async def decode_whole(
    path: Path,
    target: Path,
    *,
    rate: int,
    max_audio_s: float,
    pool: Pool,
    media: Target,
    caller: str,
    before: Effects = NONE,
) -> MappedFile:
    """Decode a file to mono float32 at ``rate``, uncut, through ``before`` into ``target``. Raises ``InvalidAudio``."""
    request = DecodeRequest(
        path=str(path),
        target=str(target),
        rate=rate,
        span_s=None,
        max_audio_s=max_audio_s,
        processors=before.specs,
        processor_options=before.options,
    )
    with pool.ticket(media, caller=caller, spent=Spent()) as ticket:
        async with aclosing(ticket.run(request, credit=UNLIMITED_ITEMS)) as items:
            async for item in items:
                if isinstance(item, Decoded):
                    return MappedFile(path=str(target), offset=0, frames=item.frames, rate=item.rate)
    raise ProtocolError("a decode ended without saying so")


async def encode_whole(audio: MappedFile, *, pool: Pool, media: Target, caller: str) -> bytes:
    """Give what ``decode_whole`` left as mono WAV of 16 bits at the same rate, true sizes in its header."""
    config = EncodeConfig(format="wav", rate=audio.rate, streamed=False)
    with pool.ticket(media, caller=caller) as ticket:
        async with ticket.lease() as encoder:
            session = await encoder.open(config)
            try:
                found: list[Item] = []
                for block in await asyncio.to_thread(_blocks, audio):
                    found += await session.feed(block, audio.rate)
                found += await session.flush()
            finally:
                session.close()
    return b"".join(item.data for item in found if isinstance(item, Chunk))


def _blocks(audio: MappedFile) -> list[bytes]:
    """Read a file of samples in blocks of a second, the most that one frame between processes holds."""
    size = audio.rate * BYTES_PER_SAMPLE
    data = Path(audio.path).read_bytes()
    return [data[start : start + size] for start in range(0, len(data), size)]
