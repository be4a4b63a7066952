"""Providers' request options in the OpenAPI document."""

from __future__ import annotations

import copy
from typing import Annotated, Any

from msgspec import Meta, Struct

from open_speech_api.wire.openapi import ProviderOptions, merged
from open_speech_core.options import schema_of


class Whisper(Struct, frozen=True, kw_only=True):
    beam_size: Annotated[int, Meta(ge=1, description="Beams that are searched.")] = 5
    prompt: str = "never shown: a field of the route"


class Canary(Struct, frozen=True, kw_only=True):
    beam_size: Annotated[int, Meta(ge=1, description="Width.")] = 5
    punctuate: bool = True


class Piper(Struct, frozen=True, kw_only=True):
    noise: float | None = None


class Kokoro(Struct, frozen=True, kw_only=True):
    noise: bool = False


def post(schema: dict[str, Any], media: str) -> dict[str, Any]:
    return {"post": {"requestBody": {"content": {media: {"schema": schema}}}}}


PROMPT = {"type": "string", "description": "Words that come before."}
DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "paths": {
        "/v1/audio/transcriptions": post({"$ref": "#/components/schemas/A~1B"}, "multipart/form-data"),
        "/v1/audio/translations": post({"$ref": "#/components/schemas/A~1B"}, "multipart/form-data"),
        "/v1/audio/speech": post({"type": "object", "properties": {"input": {}}}, "application/json"),
        "/health": {"get": {}},
    },
    "components": {"schemas": {"A/B": {"type": "object", "properties": {"prompt": PROMPT}}}},
}


def options(provider: str, kind: Any, cls: type[Struct]) -> ProviderOptions:
    return ProviderOptions(provider=provider, kind=kind, schema=schema_of(cls))


def test_options_join_the_routes_own_fields() -> None:
    before = copy.deepcopy(DOCUMENT)
    result = merged(
        DOCUMENT,
        [
            options("whisper", "transcriber", Whisper),
            options("canary", "transcriber", Canary),
            options("piper", "synthesizer", Piper),
            options("kokoro", "synthesizer", Kokoro),
        ],
    )
    assert before == DOCUMENT
    assert result["components"]["schemas"]["A/B"]["properties"] == {
        "prompt": PROMPT,
        "beam_size": {
            "type": "integer",
            "minimum": 1,
            "default": 5,
            "description": "Width. Known to: canary, whisper.",
            "x-providers": ["canary", "whisper"],
        },
        "punctuate": {
            "type": "boolean",
            "default": True,
            "description": "Known to: canary.",
            "x-providers": ["canary"],
        },
    }
    speech = result["paths"]["/v1/audio/speech"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert speech["properties"] == {
        "input": {},
        "noise": {
            "anyOf": [
                {
                    "type": "boolean",
                    "default": False,
                    "description": "Known to: kokoro.",
                    "x-providers": ["kokoro"],
                },
                {
                    "anyOf": [{"type": "number"}, {"type": "null"}],
                    "default": None,
                    "description": "Known to: piper.",
                    "x-providers": ["piper"],
                },
            ],
            "description": "Known to: kokoro, piper.",
            "x-providers": ["kokoro", "piper"],
        },
    }
    result["paths"]["/v1/audio/speech"] = before["paths"]["/v1/audio/speech"]
    result["components"] = before["components"]
    assert result == before


def test_without_options_the_document_is_as_it_was() -> None:
    assert merged(DOCUMENT, [options("silero", "detector", Piper)]) == DOCUMENT
    assert merged({"paths": {}}, [options("piper", "synthesizer", Piper)]) == {"paths": {}}
