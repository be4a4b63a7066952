"""Text fields of a form: brackets folded into lists and objects, and text fitted to a Struct's types.

``FormValue`` is what a client can say without types: a text sent once, several texts (``x[]``, or a name
sent again), or an object (``x[key]``). Empty and ``null`` texts are absent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import Struct, inspect

from open_speech_core.errors import InvalidRequest
from open_speech_core.options import FALSE, TRUE, failing_param, readable

FormValue: TypeAlias = "str | tuple[str, ...] | Mapping[str, FormValue]"
StructT = TypeVar("StructT", bound=Struct)

MAX_DEPTH = 4
"""Brackets after a name."""
MESSAGE_LENGTH = 300
"""Of what a client sent, no more than this is sent back."""

_WORDS = {"float": "number", "int": "integer", "str": "text", "bool": "true or false"}
_PYTHON_WORD = re.compile(r"\b(?:float|int|str|bool)\b")
_BRACKETED = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])+)")
_BRACKET = re.compile(r"\[([^\[\]]*)\]")


class _Node:
    """A name while its parts arrive."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.listed = False
        self.children: dict[str, _Node] = {}

    def value(self, name: str) -> FormValue:
        if self.texts and self.children:
            raise InvalidRequest(f"{name}: sent both as a text and as an object", param=name)
        if self.children:
            return {key: child.value(name) for key, child in self.children.items()}
        if self.listed or len(self.texts) > 1:
            return tuple(self.texts)
        return self.texts[0]


def plain_name(name: str) -> str:
    """Give a field's name without its brackets, as errors name it."""
    return name.partition("[")[0] or name


def fold(pairs: Iterable[tuple[str, str]]) -> dict[str, FormValue]:
    """Fold the parts of a form, in the order they came, into one value a name.

    Raises:
        InvalidRequest: brackets go too deep, or a name is a text and an object at once.
    """
    roots: dict[str, _Node] = {}
    for written, text in pairs:
        if text.strip() in ("", "null"):
            continue
        name, keys = _path(written)
        node = roots.setdefault(name, _Node())
        for key in keys:
            if key:
                node = node.children.setdefault(key, _Node())
            else:
                node.listed = True
        node.texts.append(text)
    return {name: node.value(name) for name, node in roots.items()}


def _path(written: str) -> tuple[str, list[str]]:
    """Split ``a[b][]`` into its name and keys; only the last may be empty. Other brackets are plain text."""
    match = _BRACKETED.fullmatch(written)
    if match is None:
        return written, []
    name, keys = match.group(1), _BRACKET.findall(match.group(2))
    if len(keys) > MAX_DEPTH or "" in keys[:-1]:
        raise InvalidRequest(f"{name}: the brackets of {written[:80]!r} make no list or object", param=name)
    return name, keys


def fitted(cls: type[Struct], fields: Mapping[str, FormValue]) -> dict[str, Any]:
    """Bring the fields that ``cls`` knows near its types, ready for ``msgspec.convert(..., strict=False)``.

    A list may be a text with commas, or JSON; an object may be JSON; of several texts for one value the last
    counts; booleans have their usual words. The result serves ``decode_request_options`` too.
    """
    values: dict[str, Any] = {}
    for field in _struct_type(cls).fields:
        if (value := fields.get(field.encode_name)) is not None:
            values[field.encode_name] = _fit(field.encode_name, _alternatives(field.type), value)
    return values


def decode_fields(cls: type[StructT], fields: Mapping[str, FormValue]) -> StructT:
    """Decode a form's fields as ``cls``; names it does not know are ignored.

    Raises:
        InvalidRequest: naming the field, its value and what would be right.
    """
    try:
        return msgspec.convert(fitted(cls, fields), cls, strict=False)
    except msgspec.ValidationError as error:
        raise explained(cls, error, fields) from error


def explained(cls: type[Struct], error: msgspec.ValidationError, sent: Mapping[str, object]) -> InvalidRequest:
    """Turn msgspec's sentence into one that names the field, what was sent and what may be sent."""
    param = failing_param(error)
    reason = readable(error)[:MESSAGE_LENGTH].replace("`", "").replace(" | null", "")
    if reason.startswith("Expected"):
        reason = _PYTHON_WORD.sub(lambda match: _WORDS[match.group()], reason)
    if param is None:
        return InvalidRequest(reason)
    if "Invalid enum value" in reason and (choices := _choices(cls, param)):
        return InvalidRequest(f"{param}: {reason}; one of {', '.join(choices)}", param=param)
    return InvalidRequest(f"{param}: {reason}{_shown(sent.get(param))}", param=param)


def _shown(value: object) -> str:
    """Repeat a short plain value; a list or an object may hold what somebody said."""
    plain = isinstance(value, (str, int, float)) and len(str(value)) <= 40 and str(value)[:1] not in ("[", "{")
    return f"; {value!r} was sent" if plain else ""


@lru_cache(maxsize=64)
def _struct_type(cls: type[Struct]) -> inspect.StructType:
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    return info


def _alternatives(type_: inspect.Type) -> list[inspect.Type]:
    """Give the members of a union without its null; one type is a union of one."""
    if isinstance(type_, inspect.Metadata):
        return _alternatives(type_.type)
    if isinstance(type_, inspect.UnionType):
        return [part for member in type_.types for part in _alternatives(member)]
    return [] if isinstance(type_, inspect.NoneType) else [type_]


def _choices(cls: type[Struct], name: str) -> tuple[str, ...]:
    for field in _struct_type(cls).fields:
        for type_ in _alternatives(field.type) if field.encode_name == name else ():
            literal = type_.item_type if isinstance(type_, inspect.VarTupleType) else type_
            if isinstance(literal, inspect.LiteralType):
                return tuple(str(value) for value in literal.values)
    return ()


def _fit(name: str, types: list[inspect.Type], value: FormValue) -> object:
    for type_ in types:
        if isinstance(type_, (inspect.VarTupleType, inspect.ListType)):
            return _fit_list(name, type_, value)
    if isinstance(value, tuple):
        value = value[-1]
    if isinstance(value, Mapping) or any(isinstance(type_, inspect.StrType) for type_ in types):
        return value
    text = value.strip()
    if any(isinstance(type_, inspect.BoolType) for type_ in types):
        return _fit_bool(name, text)
    if any(isinstance(type_, inspect.StructType) for type_ in types) and text[:1] in ("{", '"'):
        return _json(name, text)
    return text


def _fit_list(name: str, type_: inspect.VarTupleType | inspect.ListType, value: FormValue) -> object:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, str) and value.lstrip().startswith("["):
        return _json(name, value)
    closed = isinstance(type_.item_type, inspect.LiteralType)
    if isinstance(value, tuple) and not closed:
        return value
    texts = (value,) if isinstance(value, str) else value
    parts = (part.strip() for text in texts for part in _split(text))
    return tuple(part for part in parts if part)


def _split(text: str) -> list[str]:
    """Split at commas, but leave a data URL whole."""
    return [text] if text.lstrip().startswith("data:") else text.split(",")


def _fit_bool(name: str, text: str) -> bool:
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise InvalidRequest(f"{name}: {text[:40]!r} is not true or false", param=name)


def _json(name: str, text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(f"{name}: not valid JSON", param=name) from error
