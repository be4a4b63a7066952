"""Who speaks when: one diarizer over a whole recording, beside its recognition or alone."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

from msgspec import Struct

from open_speech_core.errors import InvalidAudio, InvalidRequest
from open_speech_core.registry import Resolved
from open_speech_core.types import (
    DiarizeRequest,
    KnownSpeaker,
    MappedFile,
    SpeakerTurn,
)

from .effects import Effects
from .pool import Pool
from .recordings import decode_whole
from .target import Target
from .worker import Spent

LEAST_REFERENCE_S, MOST_REFERENCE_S = 2.0, 10.0
"""Length of a known speaker's recording; OpenAI's bounds."""
ROUNDING_S = 0.05
"""So much may be missing or too much: compressed files do not end where the sound does."""
REFERENCES = "known_speaker_references"


class Reference(Struct, frozen=True, kw_only=True):
    """A speaker the caller knows, as it was sent."""

    name: str
    data: bytes
    """A file of audio in any format."""


class SpeakersPlan(Struct, frozen=True, kw_only=True):
    """A diarizer and what it is told."""

    resolved: Resolved
    target: Target
    speakers: int | None
    """How many there are, if the caller knows."""
    references: tuple[Reference, ...]
    max_audio_s: float
    before: Effects
    """What is done to the samples before the diarizer hears them; the recogniser's."""
    options: Any


class Diarization:
    """One plan at work on one upload, in the request's own folder."""

    def __init__(
        self, plan: SpeakersPlan, upload: Path, folder: Path, *, pool: Pool, media: Target, caller: str
    ) -> None:
        self.spent = Spent()
        self._plan = plan
        self._upload = upload
        self._folder = folder
        self._pool = pool
        self._media = media
        self._caller = caller
        self._known: tuple[KnownSpeaker, ...] = ()

    @property
    def rate(self) -> int:
        """Rate in Hz of the audio the diarizer takes."""
        return self._plan.resolved.model.rate

    async def prepare(self) -> None:
        """Read the known speakers' recordings, before anything that takes long. Raises ``InvalidRequest``."""
        self._known = tuple([await self._read(number, each) for number, each in enumerate(self._plan.references)])

    async def turns(self, audio: asyncio.Future[MappedFile]) -> list[SpeakerTurn]:
        """Give all turns; the diarizer loads while ``audio``, of any rate, is made. Raises any error of the tree."""
        with self._pool.ticket(self._plan.target, caller=self._caller, spent=self.spent) as ticket:
            ticket.prepare()
            # Shielded: who made it is waiting for it too.
            ready = await asyncio.shield(audio)
            if ready.rate != self.rate:
                ready = await self._decoded(self._upload, "speakers.f32")
            request = DiarizeRequest(
                audio=ready, speakers=self._plan.speakers, known=self._known, options=self._plan.options
            )
            async with aclosing(ticket.run(request)) as items:
                return [item async for item in items if isinstance(item, SpeakerTurn)]

    async def alone(self) -> tuple[list[SpeakerTurn], float]:
        """Give all turns of the upload, and its length in seconds, without recognising anything."""
        await self.prepare()
        decoding = asyncio.ensure_future(self._decoded(self._upload, "speakers.f32"))
        try:
            turns = await self.turns(decoding)
            audio = await decoding
        finally:
            decoding.cancel()
        return turns, audio.frames / audio.rate

    async def _read(self, number: int, reference: Reference) -> KnownSpeaker:
        path = self._folder / f"speaker-{number}"
        await asyncio.to_thread(path.write_bytes, reference.data)
        try:
            audio = await self._decoded(path, f"speaker-{number}.f32")
        except InvalidAudio as error:
            said = error.message.replace("the file", "it", 1)
            raise InvalidRequest(f"{REFERENCES}: that of {reference.name!r}: {said}", param=REFERENCES) from error
        seconds = audio.frames / audio.rate
        if not LEAST_REFERENCE_S - ROUNDING_S <= seconds <= MOST_REFERENCE_S + ROUNDING_S:
            raise InvalidRequest(
                f"{REFERENCES}: that of {reference.name!r} is {seconds:.1f} s long; "
                f"{LEAST_REFERENCE_S:g} to {MOST_REFERENCE_S:g} s are taken",
                param=REFERENCES,
            )
        return KnownSpeaker(name=reference.name, audio=audio)

    async def _decoded(self, path: Path, name: str) -> MappedFile:
        """Decode a file at the diarizer's rate, uncut."""
        return await decode_whole(
            path,
            self._folder / name,
            rate=self.rate,
            max_audio_s=self._plan.max_audio_s,
            pool=self._pool,
            media=self._media,
            caller=self._caller,
            before=self._plan.before,
        )
