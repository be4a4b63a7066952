"""The voice library: recordings that ``voice_library_ref`` of a speech request names."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from open_speech_api.library import Entry, clean_name, rate_to_store
from open_speech_api.runtime.recordings import MOST_REFERENCE_S, decode_whole, encode_whole
from open_speech_api.services import Services
from open_speech_api.wire.library import StoredVoice, StoredVoiceList, decode_voice
from open_speech_api.wire.multipart import Form, check_content_length, read_form
from open_speech_core.errors import InvalidAudio, InvalidVoice, OpenSpeechError
from open_speech_core.types import MappedFile

from .body import Body
from .waiting import AnyRequest, while_connected

BYTES_PER_MB = 1_000_000
AUDIO = "audio"
Enveloped: TypeAlias = Annotated[bool, QueryParameter(description="Whether to put the list into an object.")]


class LibraryController(Controller):
    path = "/api/voices/library"
    tags = ("Voices",)

    @post("/", summary="Store a voice", status_code=201)
    async def store(self, request: AnyRequest, services: NamedDependency[Services]) -> StoredVoice:
        """Store the WAV ``audio`` under ``name``, as mono of 16 bits. 409 where there is one of that name, unless
        ``overwrite``; 400 for what is no name or no WAV, and for one voice too many."""
        with ExitStack() as stack:
            form = await _read(request, services, stack)
            fields = decode_voice(form.fields)
            name = clean_name(fields.name)
            library = services.library
            await asyncio.to_thread(library.check, name, overwrite=fields.overwrite)
            audio, data = await while_connected(request, _normal(services, form, request.scope["state"]["caller"]))
            entry = await asyncio.to_thread(
                library.put,
                name,
                data,
                sample_rate=audio.rate,
                duration_s=audio.frames / audio.rate,
                transcript=fields.transcript,
                consent=fields.consent,
                overwrite=fields.overwrite,
            )
        return _shown(entry)

    @get("/", summary="List stored voices")
    async def voices(
        self, services: NamedDependency[Services], envelope: Enveloped = False
    ) -> list[StoredVoice] | StoredVoiceList:
        """List the voices by name; with ``?envelope=true`` as ``{"voices": [...]}``."""
        found = [_shown(entry) for entry in await asyncio.to_thread(services.library.voices)]
        return StoredVoiceList(voices=tuple(found)) if envelope else found

    @get("/{name:str}", summary="Show a stored voice")
    async def voice(self, services: NamedDependency[Services], name: FromPath[str]) -> StoredVoice:
        """Show what is known of a voice."""
        return _shown(await asyncio.to_thread(services.library.find, name))

    @get("/{name:str}/audio", summary="Give the recording of a stored voice")
    async def recording(self, services: NamedDependency[Services], name: FromPath[str]) -> Response[bytes]:
        """Give the recording, a mono WAV."""
        entry, data = await asyncio.to_thread(services.library.read, name)
        return Response(data, headers={"content-type": entry.content_type})

    @delete("/{name:str}", summary="Delete a stored voice", status_code=204)
    async def remove(self, services: NamedDependency[Services], name: FromPath[str]) -> None:
        """Delete a voice and its recording. Requests that speak in it already go on."""
        await asyncio.to_thread(services.library.remove, name)


async def _read(request: AnyRequest, services: Services, stack: ExitStack) -> Form:
    limit = services.settings.server.max_upload_mb * BYTES_PER_MB
    body = Body(request)
    try:
        check_content_length(request.headers.get("content-length"), max_file_bytes=limit, param=AUDIO)
        folder = stack.enter_context(services.request_folder())
        kind = request.headers.get("content-type", "")
        return await read_form(body.chunks(), kind, folder=folder, max_file_bytes=limit, file_field=AUDIO)
    except OpenSpeechError:
        await body.drain()
        raise


async def _normal(services: Services, form: Form, caller: str) -> tuple[MappedFile, bytes]:
    """Decode the upload, and encode it again as what is kept. Raises ``InvalidVoice``."""
    pool, targets = services.pool, services.targets
    rate = await asyncio.to_thread(rate_to_store, form.path)
    target: Path = form.path.with_name(f"{form.path.name}.f32")
    try:
        audio = await decode_whole(
            form.path,
            target,
            rate=rate,
            max_audio_s=MOST_REFERENCE_S,
            pool=pool,
            media=targets.decode,
            caller=caller,
        )
    except InvalidAudio as error:
        raise InvalidVoice(f"{AUDIO}: {error.message.replace('the file', 'it', 1)}", param=AUDIO) from error
    return audio, await encode_whole(audio, pool=pool, media=targets.encode, caller=caller)


def _shown(entry: Entry) -> StoredVoice:
    return msgspec.convert(entry, StoredVoice, from_attributes=True)
