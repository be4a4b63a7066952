"""Speech to text over HTTP: transcriptions and translations."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import ExitStack, aclosing
from typing import Any

from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.response import Stream
from msgspec import Struct, structs

from open_speech_api.runtime.diarization import Diarization, SpeakersPlan
from open_speech_api.runtime.plan import (
    Asked,
    Cutting,
    TranscriptionPlan,
    check_transcription,
    request_options,
)
from open_speech_api.runtime.speakers import told_apart
from open_speech_api.runtime.transcription import Transcription, Upload
from open_speech_api.services import Services
from open_speech_api.wire import events
from open_speech_api.wire.fields import fitted
from open_speech_api.wire.joining import Deltas, join
from open_speech_api.wire.json_audio import read_json_audio
from open_speech_api.wire.multipart import Form, check_content_length, read_form
from open_speech_api.wire.transcript import (
    CONTENT_TYPES,
    Transcript,
    all_logprobs,
    heard_languages,
    render,
    speaker_names,
)
from open_speech_api.wire.transcript_events import count_tokens, delta_event, done_event, segment_event
from open_speech_api.wire.transcription import (
    ResponseFormat,
    ServerVad,
    TranscriptionFields,
    TranslationFields,
    decode_transcription,
    decode_translation,
)
from open_speech_core.errors import OpenSpeechError
from open_speech_core.types import Segment, Task

from . import answers
from .body import Body
from .choosing import of_kind
from .speakers import plan_speakers
from .waiting import AnyRequest, primed, while_connected

BYTES_PER_MB = 1_000_000


class _Job(Struct, frozen=True, kw_only=True):
    """A checked request: how to run it and how to answer."""

    plan: TranscriptionPlan
    form: Form
    fields: TranscriptionFields
    task: Task
    speakers: SpeakersPlan | None
    """None where it cannot be seen in the answer who speaks."""

    @property
    def format(self) -> ResponseFormat:
        return self.fields.format

    @property
    def known(self) -> tuple[str, ...]:
        return self.fields.known_speaker_names or ()

    @property
    def languages(self) -> bool:
        """Say whether the caller wants to know which languages were heard."""
        return self.fields.languages is not None

    @property
    def logprobs(self) -> bool:
        return "logprobs" in (self.fields.include or ())


class TranscriptionController(Controller):
    path = "/v1/audio"
    tags = ("Transcription",)

    @post("/transcriptions", summary="Transcribe audio", status_code=200)
    async def transcriptions(self, request: AnyRequest, services: NamedDependency[Services]) -> Response[Any]:
        """Turn an audio file into text, in its own language."""
        return await _serve(request, services, "transcribe")

    @post("/translations", summary="Translate audio into English", status_code=200)
    async def translations(self, request: AnyRequest, services: NamedDependency[Services]) -> Response[Any]:
        """Turn an audio file into English text."""
        return await _serve(request, services, "translate")


async def _serve(request: AnyRequest, services: Services, task: Task) -> Response[Any]:
    """Read, plan, run, render. The request's folder lives until the last byte was sent."""
    with ExitStack() as stack:
        form = await _read(request, services, stack)
        fields = _fields(form, task, request.query_params)
        speakers = None if task == "translate" else plan_speakers(services, fields, form)
        note = request.scope["state"]
        if speakers is not None and fields.format == "rttm":
            return await _turns(request, services, form, fields, speakers)
        job = _plan(services, form, fields, task, speakers)
        note["model"] = job.plan.resolved.id
        run = _run(services, job, note["caller"])
        if not job.fields.stream:
            transcript = await while_connected(request, _whole(run, job))
            note["audio_s"] = transcript.duration_s
            body = render(
                transcript,
                job.format,
                granularities=job.fields.timestamp_granularities or ("segment",),
                logprobs=job.logprobs,
                languages=job.languages,
                known_speakers=job.known,
            )
            headers = answers.headers(CONTENT_TYPES[job.format], run.spent, job.plan.ignored)
            return Response(body, headers=headers)
        stream = await primed(request, _events(run, job, stack.pop_all()))
        headers = answers.headers(events.CONTENT_TYPE, run.spent, job.plan.ignored) | {"cache-control": "no-cache"}
        return Stream(stream, headers=headers)


async def _turns(
    request: AnyRequest, services: Services, form: Form, fields: TranscriptionFields, speakers: SpeakersPlan
) -> Response[Any]:
    """Answer who speaks when. What is said is not asked for, so that a diarizer is enough."""
    note = request.scope["state"]
    has_recogniser = any(services.registry.of_kind("transcriber"))
    ignored = _plan(services, form, fields, "transcribe", speakers).plan.ignored if has_recogniser else ()
    diarization = _diarization(services, form, speakers, note["caller"])
    note["model"] = speakers.resolved.id
    turns, note["audio_s"] = await while_connected(request, diarization.alone())
    transcript = Transcript(duration_s=note["audio_s"], turns=tuple(turns), filename=form.filename)
    body = render(transcript, "rttm", known_speakers=fields.known_speaker_names or ())
    return Response(body, headers=answers.headers(CONTENT_TYPES["rttm"], diarization.spent, ignored))


def _diarization(services: Services, form: Form, speakers: SpeakersPlan, caller: str) -> Diarization:
    media = services.targets.decode
    return Diarization(speakers, form.path, form.path.parent, pool=services.pool, media=media, caller=caller)


def _run(services: Services, job: _Job, caller: str) -> Transcription:
    upload = Upload(path=job.form.path, folder=job.form.path.parent)
    diarization = None if job.speakers is None else _diarization(services, job.form, job.speakers, caller)
    return Transcription(
        job.plan, upload, pool=services.pool, media=services.targets.decode, caller=caller, diarization=diarization
    )


async def _read(request: AnyRequest, services: Services, stack: ExitStack) -> Form:
    """Read the body into a folder of its own; a full house and a body too large are refused before it."""
    limit = services.settings.server.max_upload_mb * BYTES_PER_MB
    content_type = request.headers.get("content-type", "")
    body = Body(request)
    try:
        services.pool.check_pressure("transcriber", lambda: services.targets.ready("transcriber"))
        check_content_length(request.headers.get("content-length"), max_file_bytes=limit)
        folder = stack.enter_context(services.request_folder())
        if content_type.partition(";")[0].strip().lower() == "application/json":
            return await read_json_audio(body.chunks(), folder=folder, max_file_bytes=limit)
        return await read_form(body.chunks(), content_type, folder=folder, max_file_bytes=limit)
    except OpenSpeechError:
        await body.drain()
        raise


def _fields(form: Form, task: Task, query: Mapping[str, Any]) -> TranscriptionFields:
    if task == "translate":
        return _as_transcription(decode_translation(form.fields))
    return decode_transcription(form.fields, query)


def _plan(
    services: Services, form: Form, fields: TranscriptionFields, task: Task, speakers: SpeakersPlan | None
) -> _Job:
    """Check everything that needs no audio. Raises any 4xx of the tree."""
    asked = Asked(
        model=fields.model,
        task=task,
        language=fields.language,
        languages=fields.languages or (),
        keywords=fields.keywords or (),
        prompt=fields.prompt,
        temperature=fields.temperature,
        word_timestamps="word" in (fields.timestamp_granularities or ()),
        logprobs="logprobs" in (fields.include or ()),
    )
    resolved = of_kind(services, "transcriber", fields.model or "")
    check_transcription(resolved, asked)
    options, ignored = request_options(
        services.registry,
        resolved,
        {**form.fields, **fitted(resolved.provider.RequestOptions, form.fields)},
        strict=False,
    )
    plan = TranscriptionPlan(
        resolved=resolved,
        target=services.targets.engine(resolved),
        cutting=_cutting(services, fields),
        task=task,
        language=asked.language,
        languages=asked.languages,
        keywords=asked.keywords,
        prompt=asked.prompt,
        temperature=asked.temperature,
        # Words go to speakers by their times.
        word_timestamps=asked.word_timestamps or speakers is not None,
        logprobs=asked.logprobs,
        options=options,
        ignored=ignored,
    )
    return _Job(plan=plan, form=form, fields=fields, task=task, speakers=speakers)


def _as_transcription(fields: TranslationFields) -> TranscriptionFields:
    return TranscriptionFields(
        model=fields.model,
        prompt=fields.prompt,
        response_format=fields.response_format,
        temperature=fields.temperature,
    )


def _cutting(services: Services, fields: TranscriptionFields) -> Cutting:
    """Use the settings' way of cutting, or the caller's where a ``chunking_strategy`` was sent."""
    cutting = services.targets.cutting()
    strategy = fields.chunking_strategy
    if not isinstance(strategy, ServerVad):
        return cutting
    return structs.replace(
        cutting,
        threshold=strategy.threshold,
        min_silence_ms=strategy.silence_duration_ms,
        prefix_ms=strategy.prefix_padding_ms,
    )


async def _whole(run: Transcription, job: _Job) -> Transcript:
    async with aclosing(run.segments()) as found:
        segments = [segment async for segment in found]
    return Transcript(
        task=job.task,
        # A translation's text is English, whatever was heard.
        language="en" if job.task == "translate" else run.language,
        duration_s=run.duration_s,
        text=join(segment.text for segment in segments) if run.turns else None,
        segments=tuple(told_apart(segments, run.turns)) if job.speakers is not None else tuple(segments),
        turns=tuple(run.turns),
    )


async def _events(run: Transcription, job: _Job, stack: ExitStack) -> AsyncGenerator[bytes, None]:
    """Give server-sent events as segments are decoded; after the first, a failure is an event too."""
    deltas = Deltas()
    text = ""
    segments: list[Segment] = []
    with stack:
        try:
            async with aclosing(run.segments()) as found:
                async for segment in found:
                    segments.append(segment)
                    if delta := deltas.add(segment.text):
                        text += delta
                        yield delta_event(delta, logprobs=segment.logprobs if job.logprobs else None)
        except OpenSpeechError as error:
            if not text:
                raise
            yield answers.failure(error)
            return
        for event in _speaker_events(run, job, segments):
            yield event
        yield done_event(
            text,
            logprobs=all_logprobs(segments) if job.logprobs else None,
            languages=heard_languages(segments) if job.languages else None,
            usage=count_tokens(run.duration_s, segments),
        )
        yield events.DONE


def _speaker_events(run: Transcription, job: _Job, segments: list[Segment]) -> Iterator[bytes]:
    """Give who said what, which is known when all is heard."""
    if job.speakers is None:
        return
    told = [segment for segment in told_apart(segments, run.turns) if segment.text.strip()]
    names = speaker_names(told, job.known)
    for number, segment in enumerate(told, start=1):
        yield segment_event(number, segment, names)
