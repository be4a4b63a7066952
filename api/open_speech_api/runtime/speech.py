"""Text to speech: pieces through the engines that are free, in order through one encoder."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator
from contextlib import aclosing

from open_speech_core.errors import InvalidAudio
from open_speech_core.types import Chunk, MappedFile, Samples, SynthesizeRequest

from .abreast import Abreast
from .ahead import Ahead
from .plan import Cloning, SpeechPlan
from .pool import Pool, Ticket
from .recordings import BYTES_PER_SAMPLE, LEAST_REFERENCE_S, MOST_REFERENCE_S, decode_whole
from .target import Target
from .worker import Spent

READ_AHEAD_ITEMS = 4
"""The engine goes on while the encoder works, by this many items of at most a second."""
PIECE_ITEMS = 64
"""A piece is shorter, so that its engine is free when it is made, however slowly it is taken."""


class Speech:
    """One plan at work. ``audio_s`` counts what the engine has made so far."""

    def __init__(
        self, plan: SpeechPlan, *, pool: Pool, media: Target, decode: Target, caller: str, live: bool = False
    ) -> None:
        """``media`` encodes what is made, ``decode`` reads a reference."""
        self.spent = Spent()
        self.audio_s = 0.0
        self._plan = plan
        self._pool = pool
        self._media = media
        self._decode = decode
        self._caller = caller
        self._live = live
        self._reference: MappedFile | None = None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Give bytes of one container as they are made.

        Closing this generator frees the engine within one step. Raises any error of the tree.
        """
        plan = self._plan
        if plan.cloning is not None:
            self._reference = await self._decoded(plan.cloning)
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

    async def _decoded(self, cloning: Cloning) -> MappedFile:
        """Read a reference at the model's rate. Raises ``InvalidRequest``."""
        path = cloning.path
        try:
            audio = await decode_whole(
                path,
                path.with_name(f"{path.name}.f32"),
                rate=self._plan.resolved.model.rate,
                max_audio_s=MOST_REFERENCE_S,
                pool=self._pool,
                media=self._decode,
                caller=self._caller,
            )
        except InvalidAudio as error:
            said = error.message.replace("the file", "it", 1)
            raise InvalidAudio(f"{cloning.param}: {said}", param=cloning.param) from error
        if audio.frames < LEAST_REFERENCE_S * audio.rate:
            needed = f"at least {LEAST_REFERENCE_S:g} s of a voice are needed"
            raise InvalidAudio(f"{cloning.param}: {needed}", param=cloning.param)
        return audio

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
            reference=self._reference,
            reference_text=plan.cloning.text if plan.cloning is not None else None,
            seed=plan.seed,
            options=plan.options,
        )
        async with aclosing(ticket.run(request, spent=spent)) as items:
            async for item in items:
                if isinstance(item, Samples):
                    yield item
