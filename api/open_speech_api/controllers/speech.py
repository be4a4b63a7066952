"""Text to speech over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Any, NamedTuple

from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.response import Stream

from open_speech_api.runtime.plan import (
    SPEECH_RATE,
    Cloning,
    SpeechPlan,
    check_speech,
    request_options,
    split_text,
    takes_instructions,
)
from open_speech_api.runtime.speech import Speech
from open_speech_api.services import Services
from open_speech_api.wire import events
from open_speech_api.wire.multipart import check_content_length, read_open_form
from open_speech_api.wire.speech import (
    CONTENT_TYPES,
    SpeechFields,
    SpeechUsage,
    audio_delta_event,
    audio_done_event,
    decode_cloning,
    decode_speech,
    decode_speech_query,
    reference_bytes,
)
from open_speech_api.wire.spool import keep
from open_speech_core.errors import (
    FeatureNotSupported,
    InvalidRequest,
    ModelNotFound,
    OpenSpeechError,
    UploadTooLarge,
)

from . import answers
from .body import JSON_MAX_BYTES, Body, read_small
from .choosing import of_kind
from .waiting import AnyRequest, primed, while_connected

BYTES_PER_MB = 1_000_000
AUDIO_TOKENS_PER_S = 20
CHARACTERS_PER_TOKEN = 4
"""OpenAI's rules of thumb; clients only show these numbers."""
SPEECH_JSON_MAX_BYTES = 16 << 20
"""A reference may be in it: two minutes of 16-bit speech in base64."""
UNSUPPORTED = ("profile_id",)
"""Known fields that nothing can honour yet; named in ``X-Ignored-Fields``."""
DESCRIPTIONS = ("instructions", "voice_design")
CLONING = ("reference_audio", "clone_transcript")
REFERENCE = "reference_audio"
LIBRARY = "voice_library_ref"


class SpeechController(Controller):
    path = "/v1/audio"
    tags = ("Speech",)

    @post("/speech", summary="Speak a text", status_code=200)
    async def speech(self, request: AnyRequest, services: NamedDependency[Services]) -> Response[Any]:
        """Turn a text into audio, sent as it is made; ``?stream=false`` sends the whole with its length."""
        _check_open(services)
        settings = services.settings
        body = await read_small(request, SPEECH_JSON_MAX_BYTES)
        if len(body) > JSON_MAX_BYTES and REFERENCE.encode() not in body:
            raise UploadTooLarge(f"the body is larger than {JSON_MAX_BYTES} bytes")
        fields, sent = decode_speech(body, max_input_characters=settings.tts.max_input_length)
        with ExitStack() as stack:
            cloning = None
            if fields.reference_audio:
                limit = settings.server.max_upload_mb * BYTES_PER_MB
                data = reference_bytes(fields.reference_audio, max_bytes=limit)
                path = stack.enter_context(services.request_folder()) / REFERENCE
                await asyncio.to_thread(keep, path, data)
                cloning = Cloning(path=path, text=fields.clone_transcript, param=REFERENCE)
            elif fields.voice_library_ref:
                folder = stack.enter_context(services.request_folder())
                cloning = await asyncio.to_thread(_stored, services, fields, folder)
            return await _answer(request, services, _Asked(fields, sent, cloning), stack)

    @post("/speech/clone", summary="Speak a text in the voice of a recording", status_code=200)
    async def clone(self, request: AnyRequest, services: NamedDependency[Services]) -> Response[Any]:
        """Turn a text into audio with the voice of the file ``reference_audio``, or without one of the stored voice
        ``voice_library_ref``; 400 where the model cannot."""
        _check_open(services)
        settings = services.settings
        limit = settings.server.max_upload_mb * BYTES_PER_MB
        with ExitStack() as stack:
            body = Body(request)
            try:
                check_content_length(request.headers.get("content-length"), max_file_bytes=limit, param=REFERENCE)
                folder = stack.enter_context(services.request_folder())
                kind = request.headers.get("content-type", "")
                path, texts = await read_open_form(
                    body.chunks(), kind, folder=folder, max_file_bytes=limit, file_field=REFERENCE
                )
            except OpenSpeechError:
                await body.drain()
                raise
            fields, sent = decode_cloning(texts, max_input_characters=settings.tts.max_input_length)
            if path is not None:
                cloning = Cloning(path=path, text=fields.clone_transcript, param=REFERENCE)
            elif fields.voice_library_ref:
                cloning = await asyncio.to_thread(_stored, services, fields, folder)
            else:
                raise InvalidRequest(
                    f"{REFERENCE}: the form has no such file; send one, or name a stored voice in {LIBRARY}",
                    param=REFERENCE,
                )
            return await _answer(request, services, _Asked(fields, sent, cloning, must_clone=True), stack)


class _Asked(NamedTuple):
    """A decoded request, and the voice it brings or names."""

    fields: SpeechFields
    sent: Mapping[str, Any]
    cloning: Cloning | None
    must_clone: bool = False


def _stored(services: Services, fields: SpeechFields, folder: Path) -> Cloning:
    """Copy a stored voice into the request's folder, so that it may be deleted meanwhile. Blocks.

    Raises ``StoredVoiceNotFound``.
    """
    entry, data = services.library.read(fields.voice_library_ref or "", param=LIBRARY)
    path = folder / LIBRARY
    keep(path, data)
    return Cloning(path=path, text=fields.clone_transcript or entry.transcript, param=LIBRARY)


def _check_open(services: Services) -> None:
    if not services.settings.tts.enabled:
        raise ModelNotFound("TTS is disabled; set TTS_ENABLED=true", param=None)
    services.pool.check_pressure("synthesizer", lambda: services.targets.ready("synthesizer"))


async def _answer(request: AnyRequest, services: Services, asked: _Asked, stack: ExitStack) -> Response[Any]:
    """Plan, run, send. What is on the stack lives until the last byte was sent."""
    fields = asked.fields
    query = decode_speech_query(dict(request.query_params))
    sse = fields.stream_format == "sse"
    plan = _plan(services, asked, streamed=sse or query.stream is not False)
    run = Speech(
        plan,
        pool=services.pool,
        media=services.targets.encode,
        decode=services.targets.decode,
        caller=request.scope["state"]["caller"],
    )
    request.scope["state"]["model"] = plan.resolved.id
    if not plan.streamed:
        audio = await while_connected(request, _whole(run))
        return Response(audio, headers=answers.headers(CONTENT_TYPES[plan.format], run.spent, plan.ignored))
    made = _events(run, plan) if sse else run.chunks()
    stream = await primed(request, _held(made, stack.pop_all()))
    kind = events.CONTENT_TYPE if sse else CONTENT_TYPES[plan.format]
    headers = answers.headers(kind, run.spent, plan.ignored) | {"cache-control": "no-cache"}
    return Stream(stream, headers=headers)


def _plan(services: Services, asked: _Asked, *, streamed: bool) -> SpeechPlan:
    """Check everything that needs no engine. Raises any 4xx of the tree."""
    fields, sent = asked.fields, asked.sent
    if fields.input_type == "ssml":
        raise FeatureNotSupported("input_type 'ssml' is not supported; send plain text", param="input_type")
    tts = services.settings.tts
    wished = of_kind(services, "synthesizer", fields.model or "")
    can = wished.provider.capabilities
    if asked.must_clone and not can.voice_clone:
        raise FeatureNotSupported(f"model {wished.id!r} cannot clone voices", param="model")
    cloning = asked.cloning if can.voice_clone else None
    described = fields.instructions or fields.voice_design
    resolved, voice = services.registry.serving(
        wished, fields.voice_name, tts.voice, designed=bool(described), cloned=cloning is not None
    )
    speed = tts.speed if fields.speed is None else fields.speed
    check_speech(resolved, speed=speed)
    options, ignored = request_options(services.registry, resolved, sent, strict=not asked.must_clone)
    takes_effects = services.settings.server.effects_enabled
    unheard = {
        UNSUPPORTED: True,
        DESCRIPTIONS: not takes_instructions(resolved),
        CLONING: cloning is None,
        # A recording that is sent goes before one that is stored.
        (LIBRARY,): cloning is None or cloning.param != LIBRARY,
        ("seed",): not can.seed,
        ("effects",): not takes_effects,
    }
    ignored += tuple(
        name for names, ignore in unheard.items() if ignore for name in names if getattr(fields, name) not in (None, ())
    )
    return SpeechPlan(
        resolved=resolved,
        target=services.targets.serving(resolved, wished),
        pieces=split_text(fields.input, fields.language),
        voice=voice,
        language=fields.language,
        speed=speed,
        instructions=described if takes_instructions(resolved) else None,
        cloning=cloning,
        seed=fields.seed if can.seed else None,
        format=fields.response_format or tts.default_format,
        rate=fields.sample_rate or SPEECH_RATE,
        streamed=streamed,
        options=options,
        effects=services.targets.effects(fields.effects or () if takes_effects else ()),
        ignored=ignored,
    )


async def _held(made: AsyncGenerator[bytes, None], stack: ExitStack) -> AsyncGenerator[bytes, None]:
    """Keep what is on the stack until the last byte is taken, or the caller leaves."""
    with stack:
        async with aclosing(made):
            async for each in made:
                yield each


async def _whole(run: Speech) -> bytes:
    async with aclosing(run.chunks()) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def _events(run: Speech, plan: SpeechPlan) -> AsyncGenerator[bytes, None]:
    """Give server-sent events; after the first, a failure is an event too."""
    sent = False
    try:
        async with aclosing(run.chunks()) as chunks:
            async for chunk in chunks:
                yield audio_delta_event(chunk)
                sent = True
    except OpenSpeechError as error:
        if not sent:
            raise
        yield answers.failure(error)
        return
    text, audio = sum(map(len, plan.pieces)) // CHARACTERS_PER_TOKEN, round(run.audio_s * AUDIO_TOKENS_PER_S)
    yield audio_done_event(SpeechUsage(input_tokens=text, output_tokens=audio, total_tokens=text + audio))
    yield events.DONE
