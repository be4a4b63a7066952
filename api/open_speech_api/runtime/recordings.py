"""Short recordings that come with a request, decoded whole."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

from open_speech_core.errors import ProtocolError
from open_speech_core.types import Decoded, DecodeRequest, MappedFile

from .effects import Effects
from .fleet import Target
from .pool import Pool
from .worker import UNLIMITED_ITEMS, Spent

NONE = Effects()


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
