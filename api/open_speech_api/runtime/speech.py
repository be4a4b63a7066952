"""Text to speech: pieces through the engines that are free, in order through one encoder."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator
from contextlib import aclosing

from open_speech_core.types import Chunk, Samples, SynthesizeRequest

from .abreast import Abreast
from .ahead import Ahead
from .fleet import Target
from .plan import SpeechPlan
from .pool import Pool, Ticket
from .worker import Spent

BYTES_PER_SAMPLE = 4
READ_AHEAD_ITEMS = 4
"""The engine goes on while the encoder works, by this many items of at most a second."""
PIECE_ITEMS = 64
"""A piece is shorter, so that its engine is free when it is made, however slowly it is taken."""


class Speech:
    """One plan at work. ``audio_s`` counts what the engine has made so far."""

    def __init__(self, plan: SpeechPlan, *, pool: Pool, media: Target, caller: str, live: bool = False) -> None:
        self.spent = Spent()
        self.audio_s = 0.0
        self._plan = plan
        self._pool = pool
        self._media = media
        self._caller = caller
        self._live = live

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Give bytes of one container as they are made.

        Closing this generator frees the engine within one step. Raises any error of the tree.
        """
        plan = self._plan
        with (
            self._pool.ticket(plan.target, caller=self._caller, live=self._live, spent=self.spent) as ticket,
            self._pool.ticket(self._media, caller=self._caller, live=self._live) as media,
        ):
            # The engine does not wait for the encoder.
            async with aclosing(Ahead(self._samples(ticket), READ_AHEAD_ITEMS)) as made, media.lease() as encoder:
                session = await encoder.open(plan.encoding)
                try:
                    async for samples in made:
                        self.audio_s += len(samples.data) / BYTES_PER_SAMPLE / samples.rate
                        for item in await session.feed(samples.data, samples.rate):
                            if isinstance(item, Chunk):
                                yield item.data
                    for item in await session.flush():
                        if isinstance(item, Chunk):
                            yield item.data
                finally:
                    self.spent.encode_ms = session.engine_ms
                    session.close()

    async def _samples(self, ticket: Ticket) -> AsyncGenerator[Samples, None]:
        """Give what the engine makes, piece after piece."""
        abreast = Abreast(ticket, functools.partial(self._speak, ticket), room=PIECE_ITEMS)
        abreast.put(*self._plan.pieces)
        abreast.end()
        async with aclosing(abreast.items()) as samples:
            async for each in samples:
                yield each

    async def _speak(self, ticket: Ticket, piece: str, spent: Spent) -> AsyncGenerator[Samples, None]:
        plan = self._plan
        request = SynthesizeRequest(
            text=piece,
            voice=plan.voice,
            language=plan.language,
            speed=plan.speed,
            instructions=plan.instructions,
            options=plan.options,
        )
        async with aclosing(ticket.run(request, spent=spent)) as items:
            async for item in items:
                if isinstance(item, Samples):
                    yield item
