"""Speech to text: decode beside recognise, spans on the engines that are free."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from open_speech_core.errors import InsufficientMemory, OpenSpeechError, ProtocolError, Unavailable
from open_speech_core.types import (
    Decoded,
    DecodeRequest,
    Info,
    MappedFile,
    Segment,
    Span,
    SpeakerTurn,
    TranscribeRequest,
    Word,
)

from .abreast import Abreast
from .diarization import Diarization
from .plan import TranscriptionPlan
from .pool import Pool, Ticket
from .target import Target
from .worker import UNLIMITED_ITEMS, Spent

SPAN_SEGMENTS = 1024
"""A span has far fewer, so that its engine is free when it is recognised, however slowly they are taken."""


class Upload(Struct, frozen=True, kw_only=True):
    """A request's file and the folder that goes with the request."""

    path: Path
    folder: Path


class Transcription:
    """One plan at work on one upload. ``language`` and ``duration_s`` are known as it runs, ``turns`` at the end."""

    def __init__(
        self,
        plan: TranscriptionPlan,
        upload: Upload,
        *,
        pool: Pool,
        media: Target,
        caller: str,
        live: bool = False,
        diarization: Diarization | None = None,
    ) -> None:
        self.spent = Spent()
        self.language = plan.language
        self.duration_s = 0.0
        self.turns: list[SpeakerTurn] = []
        """Who spoke when, in the file's time; empty without a diarization."""
        self._plan = plan
        self._upload = upload
        self._pool = pool
        self._media = media
        self._caller = caller
        self._live = live
        self._diarization = diarization

    async def segments(self) -> AsyncGenerator[Segment, None]:
        """Give segments in order as they are decoded, times from the start of the file; then ``turns`` are there.

        Closing this generator frees the engines within one step. Raises any error of the tree.
        """
        if self._diarization is None:
            async with aclosing(self._recognised(None)) as found:
                async for segment in found:
                    yield segment
            return
        await self._diarization.prepare()
        decoded: asyncio.Future[MappedFile] = asyncio.get_running_loop().create_future()
        speaking = asyncio.create_task(self._diarization.turns(decoded))
        try:
            async with aclosing(self._recognised(decoded)) as found:
                async for segment in found:
                    if speaking.done() and (error := speaking.exception()) and not _was_crowded_out(error):
                        raise error
                    yield segment
            self.turns = await self._turns(self._diarization, speaking, decoded)
            self.spent.diarize_ms = self._diarization.spent.engine_ms
        finally:
            decoded.cancel()
            speaking.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await speaking

    async def _turns(
        self, diarization: Diarization, speaking: asyncio.Task[list[SpeakerTurn]], decoded: asyncio.Future[MappedFile]
    ) -> list[SpeakerTurn]:
        """Wait for the diarizer; one that found no place beside the recogniser gets its place now."""
        try:
            return await speaking
        except OpenSpeechError as error:
            if not _was_crowded_out(error):
                raise
        return await diarization.turns(decoded)

    async def _recognised(self, decoded: asyncio.Future[MappedFile] | None) -> AsyncGenerator[Segment, None]:
        """Give the segments; ``decoded`` is told where the whole recording is, once it is decoded."""
        with self._pool.ticket(self._plan.target, caller=self._caller, live=self._live, spent=self.spent) as ticket:
            ticket.prepare()
            recognise = functools.partial(self._recognise, ticket)
            spans = Abreast(ticket, recognise, room=SPAN_SEGMENTS, may_widen=self._may_widen)
            decoding = asyncio.create_task(self._decode(spans, decoded))
            try:
                async with aclosing(spans.items()) as items:
                    async for item in items:
                        if isinstance(item, Segment):
                            yield item
                self.duration_s = (await decoding).duration_s
            finally:
                decoding.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await decoding

    async def _decode(
        self, spans: Abreast[Span, Info | Segment], decoded: asyncio.Future[MappedFile] | None
    ) -> Decoded:
        """Put spans as they are found. Raises any error of the tree; then what was found is of no use any more."""
        spent, whole = Spent(), False
        try:
            with self._pool.ticket(self._media, caller=self._caller, live=self._live, spent=spent) as ticket:
                async with aclosing(ticket.run(self._request(), credit=UNLIMITED_ITEMS)) as items:
                    async for item in items:
                        self.spent.decode_ms = spent.engine_ms
                        match item:
                            case Span():
                                spans.put(item)
                            case Decoded():
                                whole = True
                                if decoded is not None and not decoded.done():
                                    decoded.set_result(self._stretch(0, item.frames))
                                return item
                            case _:
                                continue
            raise ProtocolError("a decode ended without saying so")
        finally:
            spans.end(early=not whole)

    def _may_widen(self) -> bool:
        """Say whether spans may go side by side: the first says which language the others are in, unless each does."""
        return self.language is not None or bool(self._plan.languages)

    def _request(self) -> DecodeRequest:
        plan, model = self._plan, self._plan.resolved.model
        return DecodeRequest(
            path=str(self._upload.path),
            target=str(self._decoded),
            rate=model.rate,
            span_s=model.span_s,
            detector=plan.cutting.detector,
            processors=plan.cutting.before.specs,
            processor_options=plan.cutting.before.options,
            threshold=plan.cutting.threshold,
            min_speech_ms=plan.cutting.min_speech_ms,
            min_silence_ms=plan.cutting.min_silence_ms,
            prefix_ms=plan.cutting.prefix_ms,
            max_audio_s=plan.cutting.max_audio_s,
        )

    def _stretch(self, offset: int, frames: int) -> MappedFile:
        rate = self._plan.resolved.model.rate
        return MappedFile(path=str(self._decoded), offset=offset, frames=frames, rate=rate)

    @property
    def _decoded(self) -> Path:
        return self._upload.folder / "decoded.f32"

    async def _recognise(self, ticket: Ticket, span: Span, spent: Spent) -> AsyncGenerator[Info | Segment, None]:
        """Give segments in the file's time; before them what was heard, upon which other spans may begin."""
        plan, rate = self._plan, self._plan.resolved.model.rate
        request = TranscribeRequest(
            audio=self._stretch(span.offset, span.frames),
            language=plan.language if plan.languages else self.language,
            languages=plan.languages,
            keywords=plan.keywords,
            prompt=plan.prompt,
            temperature=plan.temperature,
            task=plan.task,
            word_timestamps=plan.word_timestamps,
            logprobs=plan.logprobs,
            options=plan.options,
        )
        heard: str | None = None
        async with aclosing(ticket.run(request, spent=spent)) as items:
            async for item in items:
                match item:
                    case Info(language=heard):
                        self.language = self.language or heard
                        yield item
                    case Segment():
                        yield replace(shifted(item, span.offset / rate), language=item.language or heard)
                    case _:
                        continue


def _was_crowded_out(error: BaseException) -> bool:
    """Say whether there was no room beside other models, which may change when one of them is done."""
    return type(error) in (InsufficientMemory, Unavailable)


def shifted(segment: Segment, by_s: float) -> Segment:
    """Move a segment and its words from the span's time to the file's."""
    if not by_s:
        return segment
    words = segment.words and tuple(_shifted_word(word, by_s) for word in segment.words)
    return replace(segment, start=segment.start + by_s, end=segment.end + by_s, words=words)


def _shifted_word(word: Word, by_s: float) -> Word:
    return replace(word, start=word.start + by_s, end=word.end + by_s)
