"""The OpenAPI document: the routes' own, with the request options of every provider merged in."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, cast

from msgspec import Struct

from open_speech_core.types import Kind

Json = dict[str, Any]

PLACES: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        "transcriber": ("/v1/audio/transcriptions", "/v1/audio/translations"),
        "synthesizer": ("/v1/audio/speech",),
    }
)
"""Routes whose POST body takes the options of a kind of provider."""


class ProviderOptions(Struct, frozen=True, kw_only=True):
    """The request options of one provider."""

    provider: str
    kind: Kind
    schema: Mapping[str, Any]
    """JSON Schema, as ``open_speech_core.options.schema_of`` gives it."""


def merged(
    document: Mapping[str, Any],
    options: Iterable[ProviderOptions],
    places: Mapping[Kind, tuple[str, ...]] = PLACES,
) -> Json:
    """Give a copy of ``document`` with the options as properties of the bodies; a route's own field stays.

    Each says which providers know it. Where two mean different things by one name, it is ``anyOf`` theirs.
    """
    result = copy.deepcopy(dict(document))
    known = list(options)
    for kind, paths in places.items():
        properties = _properties([option for option in known if option.kind == kind])
        done: list[int] = []
        for schema in _bodies(result, paths) if properties else ():
            if id(schema) not in done:
                done.append(id(schema))
                own = schema.get("properties", {})
                schema["properties"] = own | {name: properties[name] for name in properties if name not in own}
    return result


def _properties(options: list[ProviderOptions]) -> Json:
    """Give one schema a name, of all that the providers mean by it."""
    meanings: dict[str, list[tuple[str, Json]]] = {}
    for option in sorted(options, key=lambda option: option.provider):
        for name, schema in option.schema.get("properties", {}).items():
            meanings.setdefault(name, []).append((option.provider, dict(schema)))
    return {name: _property(known) for name, known in sorted(meanings.items())}


def _property(known: list[tuple[str, Json]]) -> Json:
    variants: list[tuple[list[str], Json]] = []
    for provider, schema in known:
        for providers, other in variants:
            if _bare(other) == _bare(schema):
                providers.append(provider)
                break
        else:
            variants.append(([provider], schema))
    described = [_described(providers, schema) for providers, schema in variants]
    if len(described) == 1:
        return described[0]
    everyone = [provider for provider, _ in known]
    return {"anyOf": described, "description": _knowers(everyone), "x-providers": everyone}


def _described(providers: list[str], schema: Json) -> Json:
    text = f"{schema['description'].rstrip('.')}. " if schema.get("description") else ""
    return schema | {"description": text + _knowers(providers), "x-providers": providers}


def _knowers(providers: list[str]) -> str:
    return f"Known to: {', '.join(providers)}."


def _bare(schema: Json) -> Json:
    """Give what a schema demands, without what it tells people."""
    return {key: value for key, value in schema.items() if key not in ("title", "description")}


def _bodies(document: Json, paths: Iterable[str]) -> Iterable[Json]:
    """Yield the object schemas of the POST bodies, as they stand in ``document``."""
    for path in paths:
        post = document.get("paths", {}).get(path, {}).get("post", {})
        for media in post.get("requestBody", {}).get("content", {}).values():
            schema = _resolved(document, media.get("schema", {}))
            if schema.get("type") == "object" or "properties" in schema:
                yield schema


def _resolved(document: Json, schema: Json) -> Json:
    """Follow a local reference (RFC 6901)."""
    while "$ref" in schema:
        found: Any = document
        for part in str(schema["$ref"]).removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        schema = cast("Json", found)
    return schema
