"""What a field's type says to people: its description, its range, and what would be a right value."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct


class FieldMeta(Struct, frozen=True, kw_only=True):
    """All ``Meta`` of one field, merged."""

    description: str = ""
    expects: str = ""
    variable: str | None = None
    secret: bool = False
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    """``low`` itself is not allowed."""
    open_high: bool = False


def meta_of(type_: Any) -> FieldMeta:
    """Read the ``Meta`` of a field."""
    found = [meta for meta in getattr(required(type_), "__metadata__", ()) if isinstance(meta, Meta)]
    meta = found[0] if found else Meta()
    extra = meta.extra or {}
    return FieldMeta(
        description=meta.description or "",
        expects=str(extra.get("expects", "")),
        variable=extra.get("env"),
        secret=bool(extra.get("secret")),
        low=meta.ge if meta.ge is not None else meta.gt,
        high=meta.le if meta.le is not None else meta.lt,
        open_low=meta.gt is not None,
        open_high=meta.lt is not None,
    )


def required(type_: Any) -> Any:
    """Take ``| None`` off a type."""
    parts = [part for part in get_args(type_) if part is not type(None)]
    return parts[0] if type(None) in get_args(type_) and len(parts) == 1 else type_


def plain(type_: Any) -> Any:
    """Take ``| None`` and the metadata off a type."""
    type_ = required(type_)
    return type_.__origin__ if hasattr(type_, "__metadata__") else type_


def expectation(type_: Any) -> str:
    """Say what would be a right value, as the end of "must be ..."."""
    meta, inner = meta_of(type_), plain(type_)
    if meta.expects:
        return meta.expects
    if get_origin(inner) is Literal:
        return _choice([str(value) for value in get_args(inner)])
    if get_origin(inner) is tuple:
        return "values separated by commas"
    if inner is bool:
        return "true or false"
    if inner in (int, float):
        return ("a whole number" if inner is int else "a number") + _range(meta)
    return "text"


def show(value: Any) -> str:
    """Write a value as it would stand in a variable; empty for None and for an empty list."""
    if value is None or value is msgspec.NODEFAULT:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        return ",".join(show(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _choice(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]


def _range(meta: FieldMeta) -> str:
    low = None if meta.low is None else f"{'above ' if meta.open_low else 'from '}{show(meta.low)}"
    high = None if meta.high is None else f"{'below ' if meta.open_high else ''}{show(meta.high)}"
    if low is None:
        return ""
    if high is None:
        return f" above {show(meta.low)}" if meta.open_low else f" of at least {show(meta.low)}"
    if meta.open_low:
        return f" {low} and {'' if meta.open_high else 'at most '}{high}"
    return f" {low} {'and' if meta.open_high else 'to'} {high}"
