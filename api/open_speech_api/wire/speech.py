"""What a client may ask of speech synthesis, and the events of speech that streams."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

from open_speech_core.errors import InvalidRequest, UploadTooLarge

from .data_url import read_data_url
from .events import event
from .fields import FormValue, decode_fields, explained

AudioFormat: TypeAlias = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

EFFECTS_MAX = 16

CONTENT_TYPES: Mapping[AudioFormat, str] = MappingProxyType(
    {
        "mp3": "audio/mpeg",
        "opus": "audio/opus",
        "aac": "audio/aac",
        "flac": "audio/flac",
        "wav": "audio/wav",
        "pcm": "audio/pcm",
    }
)


class VoiceId(Struct, frozen=True, kw_only=True):
    """OpenAI's form for a custom voice."""

    id: str


class SpeechFields(Struct, frozen=True, kw_only=True):
    """``POST /v1/audio/speech``; None is unset."""

    input: str
    model: str | None = None
    voice: str | VoiceId | None = None
    instructions: Annotated[str, Meta(max_length=4096)] | None = None
    response_format: AudioFormat | None = None
    speed: Annotated[float, Meta(ge=0.25, le=4.0)] | None = None
    stream_format: Literal["audio", "sse"] | None = None
    language: str | None = None
    input_type: Literal["text", "ssml"] | None = None
    voice_design: str | None = None
    reference_audio: str | None = None
    """Base64, or a data URL; never fetched from anywhere."""
    clone_transcript: str | None = None
    effects: Annotated[tuple[Raw, ...], Meta(max_length=EFFECTS_MAX)] | None = None
    """JSON of each effect, decoded by who makes it."""
    sample_rate: Annotated[int, Meta(ge=8000, le=48_000)] | None = None
    seed: Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)] | None = None
    voice_library_ref: str | None = None
    profile_id: str | None = None

    @property
    def voice_name(self) -> str | None:
        """Give the voice in either form; None when it is unset or empty."""
        return (self.voice.id if isinstance(self.voice, VoiceId) else self.voice) or None


class CloneFields(Struct, frozen=True, kw_only=True):
    """``POST /v1/audio/speech/clone``, beside the recording; None is unset."""

    input: str
    model: str | None = None
    voice: str | None = None
    transcript: str | None = None
    """What is said in the recording."""
    instructions: Annotated[str, Meta(max_length=4096)] | None = None
    response_format: AudioFormat | None = None
    speed: Annotated[float, Meta(ge=0.25, le=4.0)] | None = None
    stream_format: Literal["audio", "sse"] | None = None
    language: str | None = None
    effects: str | None = None
    """The list, as JSON."""
    sample_rate: Annotated[int, Meta(ge=8000, le=48_000)] | None = None
    seed: Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)] | None = None
    voice_library_ref: str | None = None


class SpeechQuery(Struct, frozen=True, kw_only=True):
    """What the address may say beside the body."""

    stream: bool | None = None
    cache: bool | None = None


class SpeechUsage(Struct, frozen=True, kw_only=True):
    input_tokens: int
    output_tokens: int
    total_tokens: int


class AudioDelta(Struct, frozen=True, kw_only=True, tag="speech.audio.delta", tag_field="type"):
    audio: bytes
    """Base64 on the wire. The pieces make up one file of the format that was asked for."""


class AudioDone(Struct, frozen=True, kw_only=True, tag="speech.audio.done", tag_field="type"):
    usage: SpeechUsage


def decode_speech(body: bytes, *, max_input_characters: int) -> tuple[SpeechFields, Mapping[str, Any]]:
    """Decode and check a body; also give all its top-level fields, for the provider's request options.

    Raises:
        InvalidRequest: naming the field, or without one when the body is no JSON object.
    """
    sent = _object(body)
    try:
        fields = msgspec.json.decode(body, type=SpeechFields)
    except msgspec.ValidationError as error:
        raise explained(SpeechFields, error, sent) from error
    _check_input(fields, max_input_characters)
    return _without_empty(fields), MappingProxyType({k: v for k, v in sent.items() if v is not None})


def decode_cloning(
    fields: Mapping[str, FormValue], *, max_input_characters: int
) -> tuple[SpeechFields, Mapping[str, Any]]:
    """Decode and check a form, whose file is the reference; ``transcript`` is what is said in it.

    Raises:
        InvalidRequest: naming the field.
    """
    form = decode_fields(CloneFields, {name: value for name, value in fields.items() if value != ""})
    effects: tuple[Raw, ...] | None = None
    if form.effects:
        try:
            effects = msgspec.json.decode(form.effects, type=Annotated[tuple[Raw, ...], Meta(max_length=EFFECTS_MAX)])
        except msgspec.MsgspecError as error:
            raise InvalidRequest("effects: must be a JSON list of at most 16 effects", param="effects") from error
    told = {name: getattr(form, name) for name in form.__struct_fields__ if name not in ("effects", "transcript")}
    found = SpeechFields(effects=effects, clone_transcript=form.transcript, **told)
    _check_input(found, max_input_characters)
    return found, MappingProxyType(dict(fields))


def reference_bytes(text: str, *, max_bytes: int) -> bytes:
    """Give a reference sent as base64 or as a data URL. Raises ``InvalidRequest`` and ``UploadTooLarge``."""
    if len(text) * 3 // 4 > max_bytes:
        raise UploadTooLarge(f"the reference is larger than {max_bytes / 1e6:g} MB", param="reference_audio")
    url = text if text.lstrip()[:5].lower() == "data:" else f"data:audio/wav;base64,{text}"
    return read_data_url(url, param="reference_audio")


def decode_speech_query(query: Mapping[str, FormValue]) -> SpeechQuery:
    """Decode the query; raise ``InvalidRequest`` naming the field."""
    return decode_fields(SpeechQuery, {name: value for name, value in query.items() if value != ""})


def audio_delta_event(audio: bytes) -> bytes:
    """Frame a piece of the encoded stream."""
    return event(AudioDelta(audio=audio))


def audio_done_event(usage: SpeechUsage) -> bytes:
    """Frame the end."""
    return event(AudioDone(usage=usage))


def _check_input(fields: SpeechFields, max_characters: int) -> None:
    length = len(fields.input)
    if not fields.input.strip():
        raise InvalidRequest("input: there is nothing to say; send a text", param="input")
    if length > max_characters:
        raise InvalidRequest(f"input: {length} characters are more than the {max_characters} allowed", param="input")


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("the body is not a valid JSON object") from error


def _without_empty(fields: SpeechFields) -> SpeechFields:
    """Unset what was sent as an empty text; forms in browsers do that."""
    empty = {name: None for name in fields.__struct_fields__ if getattr(fields, name) == ""}
    return msgspec.structs.replace(fields, **empty) if empty else fields
