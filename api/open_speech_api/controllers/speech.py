"""Text to speech over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.response import Stream

from open_speech_api.runtime.plan import (
    SPEECH_RATE,
    SpeechPlan,
    check_speech,
    request_options,
    split_text,
    takes_instructions,
)
from open_speech_api.runtime.speech import Speech
from open_speech_api.services import Services
from open_speech_api.wire import events
from open_speech_api.wire.speech import (
    CONTENT_TYPES,
    SpeechFields,
    SpeechUsage,
    audio_delta_event,
    audio_done_event,
    decode_speech,
    decode_speech_query,
)
from open_speech_core.errors import FeatureNotSupported, ModelNotFound, OpenSpeechError

from . import answers
from .body import read_small
from .choosing import of_kind
from .waiting import AnyRequest, primed, while_connected

AUDIO_TOKENS_PER_S = 20
CHARACTERS_PER_TOKEN = 4
"""OpenAI's rules of thumb; clients only show these numbers."""
UNSUPPORTED = (
    "voice_design",
    "reference_audio",
    "clone_transcript",
    "voice_library_ref",
    "profile_id",
    "seed",
)
"""Known fields that nothing installed here can honour yet; named in ``X-Ignored-Fields``."""


class SpeechController(Controller):
    path = "/v1/audio"
    tags = ("Speech",)

    @post("/speech", summary="Speak a text", status_code=200)
    async def speech(self, request: AnyRequest, services: NamedDependency[Services]) -> Response[Any]:
        """Turn a text into audio, sent as it is made; ``?stream=false`` sends the whole with its length."""
        if not services.settings.tts.enabled:
            raise ModelNotFound("TTS is disabled; set TTS_ENABLED=true", param=None)
        services.pool.check_pressure("synthesizer", lambda: services.targets.ready("synthesizer"))
        limit = services.settings.tts.max_input_length
        fields, sent = decode_speech(await read_small(request), max_input_characters=limit)
        query = decode_speech_query(dict(request.query_params))
        sse = fields.stream_format == "sse"
        plan = _plan(services, fields, sent, streamed=sse or query.stream is not False)
        run = Speech(plan, pool=services.pool, media=services.targets.encode, caller=request.scope["state"]["caller"])
        request.scope["state"]["model"] = plan.resolved.id
        if not plan.streamed:
            audio = await while_connected(request, _whole(run))
            return Response(audio, headers=answers.headers(CONTENT_TYPES[plan.format], run.spent, plan.ignored))
        stream = await primed(request, _events(run, plan) if sse else run.chunks())
        kind = events.CONTENT_TYPE if sse else CONTENT_TYPES[plan.format]
        headers = answers.headers(kind, run.spent, plan.ignored) | {"cache-control": "no-cache"}
        return Stream(stream, headers=headers)


def _plan(services: Services, fields: SpeechFields, sent: Mapping[str, Any], *, streamed: bool) -> SpeechPlan:
    """Check everything that needs no engine. Raises any 4xx of the tree."""
    if fields.input_type == "ssml":
        raise FeatureNotSupported("input_type 'ssml' is not supported; send plain text", param="input_type")
    tts = services.settings.tts
    asked = of_kind(services, "synthesizer", fields.model or "")
    resolved, voice = services.registry.serving(asked, fields.voice_name, tts.voice, designed=bool(fields.instructions))
    speed = tts.speed if fields.speed is None else fields.speed
    check_speech(resolved, speed=speed)
    options, ignored = request_options(services.registry, resolved, sent, strict=True)
    instructions = fields.instructions if takes_instructions(resolved) else None
    if fields.instructions and not instructions:
        ignored += ("instructions",)
    takes_effects = services.settings.server.effects_enabled
    if fields.effects and not takes_effects:
        ignored += ("effects",)
    return SpeechPlan(
        resolved=resolved,
        target=services.targets.serving(resolved, asked),
        pieces=split_text(fields.input, fields.language),
        voice=voice,
        language=fields.language,
        speed=speed,
        instructions=instructions,
        format=fields.response_format or tts.default_format,
        rate=fields.sample_rate or SPEECH_RATE,
        streamed=streamed,
        options=options,
        effects=services.targets.effects(fields.effects or () if takes_effects else ()),
        ignored=(*ignored, *(name for name in UNSUPPORTED if getattr(fields, name) is not None)),
    )


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
