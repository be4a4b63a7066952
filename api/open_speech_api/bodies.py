"""Bodies of the routes that read and write their bytes themselves, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from open_speech_api.wire import transcript, transcript_events
from open_speech_api.wire.errors import Envelope
from open_speech_api.wire.library import VoiceFields
from open_speech_api.wire.speech import CONTENT_TYPES, AudioDelta, AudioDone, CloneFields, SpeechFields
from open_speech_api.wire.transcription import TranscriptionFields, TranslationFields

Json: TypeAlias = dict[str, Any]

TEMPLATE = "#/components/schemas/{name}"
REQUESTS: Mapping[str, tuple[str, type[Struct]]] = MappingProxyType(
    {
        "/v1/audio/transcriptions": ("multipart/form-data", TranscriptionFields),
        "/v1/audio/translations": ("multipart/form-data", TranslationFields),
        "/v1/audio/speech": ("application/json", SpeechFields),
        "/v1/audio/speech/clone": ("multipart/form-data", CloneFields),
        "/api/voices/library": ("multipart/form-data", VoiceFields),
    }
)
"""Content type and fields of a route's POST body. A form has a file beside its fields."""
FILE_FIELDS: Mapping[str, str] = MappingProxyType(
    {"/v1/audio/speech/clone": "reference_audio", "/api/voices/library": "audio"}
)
"""Where the field of a form's file is not called ``file``."""
FILE_OPTIONAL = frozenset({"/v1/audio/speech/clone"})
"""Where a form may do without its file."""
JSON_ANSWERS: Mapping[str, tuple[type[Struct], ...]] = MappingProxyType(
    {
        "/v1/audio/transcriptions": (
            transcript.PlainBody,
            transcript.VerboseBody,
            transcript.DiarizedBody,
        ),
        "/v1/audio/translations": (transcript.PlainBody, transcript.VerboseBody),
    }
)
EVENTS: Mapping[str, tuple[type[Struct], ...]] = MappingProxyType(
    {
        "/v1/audio/transcriptions": (
            transcript_events.TextDelta,
            transcript.DiarizedSegment,
            transcript_events.TextDone,
        ),
        "/v1/audio/speech": (AudioDelta, AudioDone),
        "/v1/audio/speech/clone": (AudioDelta, AudioDone),
    }
)
FILE: Json = {
    "type": "string",
    "format": "binary",
    "description": "The recording. Its format is found from its bytes: wav, mp3, mp4, m4a, ogg, opus, flac, webm ...",
}
TEXTS = ("text/plain", "text/vtt")
STREAM: Json = {
    "name": "stream",
    "in": "query",
    "schema": {"type": "boolean", "default": True},
    "description": "False: the audio is sent whole, with its length and true sizes in its header.",
}


def add_bodies(document: Json) -> None:
    """Add what the routes take and give to ``document``; every failure is OpenAI's error object."""
    kinds = {Envelope, *(cls for _, cls in REQUESTS.values())}
    kinds |= {cls for classes in (*JSON_ANSWERS.values(), *EVENTS.values()) for cls in classes}
    _, components = msgspec.json.schema_components(kinds, ref_template=TEMPLATE)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name, schema in components.items():
        schemas.setdefault(name, schema)
    for _, cls in REQUESTS.values():
        schemas[cls.__name__] = _without_null(schemas[cls.__name__])
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _fail_alike(operation)
        if path in REQUESTS:
            _add(operations["post"], path, schemas)


def _add(operation: Json, path: str, schemas: Json) -> None:
    content_type, cls = REQUESTS[path]
    if content_type == "multipart/form-data":
        fields = schemas[cls.__name__]
        file = FILE_FIELDS.get(path, "file")
        fields["properties"] = {file: FILE, **fields["properties"]}
        if path not in FILE_OPTIONAL:
            fields["required"] = [file, *fields["required"]]
    operation["requestBody"] = {"required": True, "content": {content_type: {"schema": _reference(cls)}}}
    if path not in JSON_ANSWERS and path not in EVENTS:
        # The route's own type of answer says it.
        return
    content: Json = {}
    if path in JSON_ANSWERS:
        content["application/json"] = {"schema": {"anyOf": [_reference(cls) for cls in JSON_ANSWERS[path]]}}
        content |= {kind: {"schema": {"type": "string"}} for kind in TEXTS}
    else:
        operation["parameters"] = [STREAM]
        content |= {kind: {"schema": {"type": "string", "format": "binary"}} for kind in CONTENT_TYPES.values()}
    if path in EVENTS:
        content["text/event-stream"] = {"schema": {"anyOf": [_reference(cls) for cls in EVENTS[path]]}}
    operation["responses"]["200"]["content"] = content


def _fail_alike(operation: Json) -> None:
    responses = operation["responses"]
    for status in [status for status in responses if status >= "400"]:
        del responses[status]
    responses["default"] = {
        "description": "What went wrong, for people and for programs",
        "content": {"application/json": {"schema": _reference(Envelope)}},
    }


def _without_null(schema: Json) -> Json:
    """Leave null out of what a field may be: it means that the field was not sent."""
    return {**schema, "properties": {name: _unset(each) for name, each in schema["properties"].items()}}


def _unset(schema: Json) -> Json:
    left = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if not left:
        return schema
    others = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**others, **(left[0] if len(left) == 1 else {"anyOf": left})}


def _reference(cls: type[Struct]) -> Json:
    return {"$ref": TEMPLATE.format(name=cls.__name__)}
