"""Options: from the environment into a provider's Struct, and from a request into its request options.

Both speak of all bad values at once or of the field by name, never of Python's internals.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar, Union, cast

import msgspec
from msgspec import Struct, inspect

from .errors import InvalidRequest, PluginError
from .types import ProviderInfo

StructT = TypeVar("StructT", bound=Struct)

LEAST_INT, MOST_INT = -(1 << 63), (1 << 63) - 1
TRUE = frozenset({"true", "1", "yes", "on"})
FALSE = frozenset({"false", "0", "no", "off"})

RESERVED_FIELDS = frozenset({
    "file", "model", "language", "languages", "keywords", "prompt", "response_format", "temperature",
    "include", "timestamp_granularities", "stream", "chunking_strategy", "known_speaker_names",
    "known_speaker_references", "diarize", "speakers", "vad_filter",
    "input", "voice", "instructions", "speed", "stream_format", "input_type", "voice_design",
    "reference_audio", "clone_transcript", "transcript", "effects", "cache", "voice_library_ref", "profile_id",
    "sample_rate", "seed",
})  # fmt: skip
"""Names of the routes' own fields, which a provider's request options may not take."""


class OptionProblem(Struct, frozen=True, kw_only=True):
    """One bad environment variable."""

    variable: str
    value: str
    reason: str


def environment_names(cls: type[Struct], prefix: str) -> dict[str, tuple[str, ...]]:
    """Give each field's variables in order of precedence: own prefix first, then the shared name."""
    names: dict[str, tuple[str, ...]] = {}
    for field in msgspec.structs.fields(cls):
        own = (prefix + field.name).upper() if prefix else None
        shared = _extra(field.type).get("env")
        names[field.name] = tuple(name for name in (own, shared) if name)
    return names


def from_environment(
    cls: type[StructT], prefix: str, environ: Mapping[str, str], problems: list[OptionProblem]
) -> StructT:
    """Fill ``cls`` from ``environ``; an empty string is unset. Bad values are added to ``problems``.

    A field with a bad value keeps its default, so that one run reports all problems.
    """
    values: dict[str, Any] = {}
    fields = {field.name: field for field in msgspec.structs.fields(cls)}
    for name, variables in environment_names(cls, prefix).items():
        for variable in variables:
            raw = environ.get(variable, "").strip()
            if not raw:
                continue
            try:
                values[name] = parse(raw, fields[name].type)
            except msgspec.ValidationError as error:
                problems.append(OptionProblem(variable=variable, value=raw, reason=readable(error)))
            break
    return cls(**values)


def parse(raw: str, type: Any) -> Any:
    """Read one variable's text as ``type``: booleans by their usual words, lists by commas.

    Raises ``ValidationError``, also for bytes that are no UTF-8.
    """
    inner = _strip(type)
    if inner is bool and raw.lower() in TRUE | FALSE:
        return raw.lower() in TRUE
    origin = getattr(inner, "__origin__", None)
    value = [part.strip() for part in raw.split(",") if part.strip()] if origin in (tuple, list) else raw
    try:
        return msgspec.convert(value, type, strict=False)
    except UnicodeEncodeError:
        raise msgspec.ValidationError("Expected text in UTF-8") from None


def readable(error: msgspec.ValidationError) -> str:
    """Drop the JSON path from msgspec's sentence."""
    return re.sub(r" - at `.*`$", "", str(error))


def failing_param(error: msgspec.ValidationError) -> str | None:
    """Give the top-level field a ``ValidationError`` speaks of."""
    if match := re.search(r"at `\$\.([^`.\[]+)", str(error)):
        return match.group(1)
    if match := re.search(r"field `([^`]+)`", str(error)):
        return match.group(1)
    return None


def decode_request_options(cls: type[Struct], fields: Mapping[str, Any], *, strict: bool) -> Struct:
    """Take from ``fields`` those ``cls`` knows; raise ``InvalidRequest`` naming the bad one.

    ``strict`` is False for forms, whose values are all text.
    """
    known = {field.encode_name for field in msgspec.structs.fields(cls)}
    own = {name: value for name, value in fields.items() if name in known and value is not None}
    try:
        options = msgspec.convert(own, cls, strict=strict)
    except msgspec.ValidationError as error:
        raise InvalidRequest(readable(error), param=failing_param(error)) from error
    for field in msgspec.structs.fields(cls):
        _check_size(field.encode_name, getattr(options, field.name))
    return options


def _check_size(name: str, value: object) -> None:
    """Raise ``InvalidRequest`` for a whole number that no frame between processes can hold."""
    for each in cast("Iterable[object]", value) if isinstance(value, tuple | list) else (value,):
        if isinstance(each, int) and not LEAST_INT <= each <= MOST_INT:
            raise InvalidRequest(f"{name}: must be a whole number from {LEAST_INT} to {MOST_INT}", param=name)


def ignored_fields(cls: type[Struct], others: Iterable[type[Struct]], fields: Mapping[str, Any]) -> list[str]:
    """Name the sent fields that only other providers know."""
    own = {field.encode_name for field in msgspec.structs.fields(cls)}
    known = {field.encode_name for other in others for field in msgspec.structs.fields(other)}
    return sorted(name for name in fields if name in known - own)


def environment_allowed(info: ProviderInfo, options: type[Struct], environ: Mapping[str, str]) -> dict[str, str]:
    """Filter an environment to what a provider declares: prefix, options' variables, ``environment``."""
    names = {name for names in environment_names(options, info.env_prefix).values() for name in names}
    names |= set(info.environment)
    prefix = info.env_prefix.upper()
    return {
        name: value for name, value in environ.items() if name in names or (prefix and name.upper().startswith(prefix))
    }


def schema_of(cls: type[Struct]) -> dict[str, Any]:
    """Give a Struct's JSON Schema, without references; a shared variable's name is in its ``env``."""
    (schema,), components = msgspec.json.schema_components([cls], ref_template="{name}")
    found = components[schema["$ref"]] if "$ref" in schema else schema
    for field in msgspec.structs.fields(cls):
        if env := _extra(field.type).get("env"):
            found["properties"][field.encode_name]["env"] = env
    # Through JSON, so that a default is a list here as it is on the wire.
    return cast("dict[str, Any]", msgspec.json.decode(msgspec.json.encode(found)))


def struct_of(name: str, schema: Mapping[str, Any]) -> type[Struct]:
    """Rebuild an options Struct from its JSON Schema.

    Raises:
        PluginError: the schema says something options may not be.
    """
    required = set(schema.get("required", ()))
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for field, spec in schema.get("properties", {}).items():
        type_ = _type_of(f"{name}.{field}", spec)
        if field in required:
            fields.append((field, type_))
        else:
            default: Any = spec.get("default")
            fields.append((field, type_, tuple(default) if default and spec.get("type") == "array" else default))
    namespace = {"__doc__": schema.get("description")}
    return msgspec.defstruct(name, fields, namespace=namespace, frozen=True, kw_only=True)


def option_problems(cls: type[Struct], reserved: Iterable[str] = ()) -> list[str]:
    """Say what in ``cls`` options may not be; ``reserved`` are names that are taken."""
    problems: list[str] = []
    taken = set(reserved)
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    if not cls.__struct_config__.frozen:
        problems.append(f"{cls.__name__} is not frozen")
    for field in info.fields:
        if field.name in taken:
            problems.append(f"{field.name!r} is the name of a request field")
        if field.encode_name != field.name:
            problems.append(f"{field.name!r} is renamed to {field.encode_name!r}")
        if field.required:
            problems.append(f"{field.name!r} has no default")
        if not _allowed(field.type):
            problems.append(f"{field.name!r} has a type that options may not have")
    return problems


def _allowed(type_: inspect.Type) -> bool:
    """Str, int, float, bool, Literal, bounds, Optional, and lists of these."""
    match type_:
        case inspect.Metadata(type=inner):
            return _allowed(inner)
        case inspect.UnionType(types=parts):
            return all(_allowed(part) for part in parts)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return isinstance(item, _SCALAR_TYPES) or (
                isinstance(item, inspect.Metadata) and isinstance(item.type, _SCALAR_TYPES)
            )
        case _:
            return isinstance(type_, (*_SCALAR_TYPES, inspect.NoneType))


_SCALAR_TYPES = (inspect.StrType, inspect.IntType, inspect.FloatType, inspect.BoolType, inspect.LiteralType)


_SCALARS: dict[str, Any] = {"string": str, "integer": int, "number": float, "boolean": bool, "null": None}
_BOUNDS = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minItems": "min_length",
    "maxItems": "max_length",
    "pattern": "pattern",
    "description": "description",
    "title": "title",
}


def _type_of(where: str, spec: Mapping[str, Any]) -> Any:
    type_ = _bare_type(where, spec)
    meta = {_BOUNDS[key]: value for key, value in spec.items() if key in _BOUNDS}
    if "env" in spec:
        meta["extra"] = {"env": spec["env"]}
    return _annotated(type_, meta) if meta else type_


def _bare_type(where: str, spec: Mapping[str, Any]) -> Any:
    if "anyOf" in spec:
        return _union(_type_of(where, part) for part in spec["anyOf"])
    if "enum" in spec:
        values = [value for value in spec["enum"] if value is not None]
        literal: Any = Literal[tuple(values)]
        return _union([literal, None]) if None in spec["enum"] else literal
    kind = spec.get("type")
    if kind == "array":
        return tuple.__class_getitem__((_type_of(where, spec.get("items", {})), ...))
    if isinstance(kind, str) and kind in _SCALARS:
        return _SCALARS[kind]
    raise PluginError(f"option {where} has a type that options may not have: {dict(spec)!r}")


def _union(types: Iterable[Any]) -> Any:
    return Union[tuple(types)]  # noqa: UP007


def _annotated(type_: Any, meta: dict[str, Any]) -> Any:
    from typing import Annotated

    return Annotated[type_, msgspec.Meta(**meta)]


def _strip(type_: Any) -> Any:
    """Take ``Annotated`` and ``| None`` off a type."""
    while hasattr(type_, "__metadata__"):
        type_ = type_.__origin__
    arguments = [part for part in getattr(type_, "__args__", ()) if part is not type(None)]
    if len(arguments) == 1 and getattr(type_, "__origin__", None) not in (tuple, list, Literal):
        return _strip(arguments[0])
    return type_


def _extra(type_: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for meta in getattr(type_, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta):
            found.update(meta.extra or {})
    for part in getattr(type_, "__args__", ()):
        if not isinstance(part, (str, int)):
            found.update(_extra(part))
    return found
