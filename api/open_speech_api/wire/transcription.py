"""What a client may ask of a transcription or a translation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from open_speech_core.errors import InvalidRequest

from .fields import FormValue, decode_fields
from .languages import code_of

ResponseFormat: TypeAlias = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json", "rttm"]
Granularity: TypeAlias = Literal["word", "segment"]
Temperature: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Speakers: TypeAlias = Annotated[tuple[str, ...], Meta(max_length=4)]
SPEAKING_FORMATS: frozenset[ResponseFormat] = frozenset[ResponseFormat](("diarized_json", "rttm"))
"""Formats that are about who speaks."""
SHOWING_FORMATS: frozenset[ResponseFormat] = frozenset[ResponseFormat](
    (*SPEAKING_FORMATS, "verbose_json", "srt", "vtt")
)
"""Formats in which it can be seen who speaks."""


class ServerVad(Struct, frozen=True, kw_only=True, tag="server_vad", tag_field="type"):
    """How speech is cut into chunks."""

    prefix_padding_ms: Annotated[int, Meta(ge=0, le=60_000)] = 300
    silence_duration_ms: Annotated[int, Meta(ge=0, le=60_000)] = 200
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5


class TranscriptionFields(Struct, frozen=True, kw_only=True):
    """``POST /v1/audio/transcriptions`` without its file; None is unset."""

    model: str | None = None
    language: str | None = None
    """One of ``languages.NAMES`` once decoded; a tag or an English name on the wire."""
    languages: tuple[str, ...] | None = None
    keywords: tuple[str, ...] | None = None
    prompt: str | None = None
    response_format: ResponseFormat | None = None
    temperature: Temperature | None = None
    include: tuple[Literal["logprobs"], ...] | None = None
    timestamp_granularities: tuple[Granularity, ...] | None = None
    stream: bool | None = None
    chunking_strategy: Literal["auto"] | ServerVad | None = None
    """On the wire also the object's JSON as text."""
    known_speaker_names: Speakers | None = None
    known_speaker_references: Speakers | None = None
    """Data URLs, one a name."""
    diarize: bool | None = None
    """Tell speakers apart. Where no other format is asked for, the answer is ``diarized_json``."""
    speakers: Annotated[int, Meta(ge=1, le=100)] | None = None
    """How many speak, where the caller knows."""

    @property
    def format(self) -> ResponseFormat:
        """Give the format of the answer."""
        plain = self.response_format or "json"
        return "diarized_json" if self.diarize and plain == "json" else plain

    @property
    def speaks_for(self) -> str | None:
        """Name the field that asks who speaks."""
        if self.response_format in SPEAKING_FORMATS:
            return "response_format"
        return "diarize" if self.diarize else None


class TranslationFields(Struct, frozen=True, kw_only=True):
    """``POST /v1/audio/translations`` without its file; None is unset."""

    model: str | None = None
    prompt: str | None = None
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] | None = None
    temperature: Temperature | None = None


def decode_transcription(
    fields: Mapping[str, FormValue], query: Mapping[str, FormValue] | None = None
) -> TranscriptionFields:
    """Decode and check a form. Of the query only ``diarize`` is read, and the form's own wins over it.

    Raises:
        InvalidRequest: ``param`` is the field's name without brackets.
    """
    asked = dict(fields)
    if query and "diarize" not in asked and str(query.get("diarize", "")).strip():
        asked["diarize"] = query["diarize"]
    decoded = decode_fields(TranscriptionFields, asked)
    _check_speakers(decoded)
    if decoded.stream and decoded.format == "rttm":
        raise InvalidRequest("stream: rttm cannot be streamed; use diarized_json", param="stream")
    return msgspec.structs.replace(
        decoded,
        language=_language(decoded.language),
        languages=tuple(code_of(language, param="languages") for language in decoded.languages or ()) or None,
    )


def decode_translation(fields: Mapping[str, FormValue]) -> TranslationFields:
    """Decode and check a form; raise ``InvalidRequest`` naming the field."""
    return decode_fields(TranslationFields, fields)


def _language(language: str | None) -> str | None:
    """Normalise; ``auto``, which other servers' clients send, is unset."""
    if language is None or language.strip().lower() == "auto":
        return None
    return code_of(language)


def _check_speakers(fields: TranscriptionFields) -> None:
    references = fields.known_speaker_references
    names = fields.known_speaker_names or ()
    if len(set(names)) < len(names):
        raise InvalidRequest("known_speaker_names: each name can be there once", param="known_speaker_names")
    if references is None:
        if names and fields.speaks_for:
            raise InvalidRequest(
                "known_speaker_names: a name needs its known_speaker_references, 2 to 10 s of that voice",
                param="known_speaker_names",
            )
        return
    if not all(reference.startswith("data:") for reference in references):
        raise InvalidRequest(
            "known_speaker_references: each must be a data URL, such as 'data:audio/wav;base64,...'",
            param="known_speaker_references",
        )
    if len(references) != len(names):
        raise InvalidRequest(
            f"known_speaker_references: {len(references)} references for "
            f"{len(names)} known_speaker_names; send one a name",
            param="known_speaker_references",
        )
