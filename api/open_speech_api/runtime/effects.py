"""Processors of a request: which effects it names, with what, and what settings put before or after an engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Raw, Struct

from open_speech_core.errors import FeatureNotSupported, InvalidRequest
from open_speech_core.options import decode_request_options
from open_speech_core.registry import Registry, Resolved
from open_speech_core.types import EngineSpec

KNOWN: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("pitch", "reverb", "podcast_eq", "robot", "highpass", "lowpass", "fade", "trim"), "effects"),
        **dict.fromkeys(("normalize", "level", "peak"), "loudness"),
        "denoise": "denoise",
    }
)
"""Our own processors, each with the plugin that has it, named where it is not installed."""


class Effects(Struct, frozen=True, kw_only=True):
    """Processors in their order."""

    specs: tuple[EngineSpec, ...] = ()
    options: tuple[Any, ...] = ()
    """Session options, one for each of ``specs``."""

    def __add__(self, other: Effects) -> Effects:
        return Effects(specs=self.specs + other.specs, options=self.options + other.options)


def installed(registry: Registry) -> Iterator[Resolved]:
    """Give every processor that the server's own workers can import."""
    for found in registry.models("processor"):
        if found.plugin.interpreter is None:
            yield found


def find(registry: Registry, type: str) -> Resolved | None:
    return next((found for found in installed(registry) if found.id == type), None)


def one(found: Resolved, spec: EngineSpec, **options: Any) -> Effects:
    """Make a chain of one, with options of ours."""
    own = decode_request_options(found.provider.RequestOptions, options, strict=True)
    return Effects(specs=(spec,), options=(own,))


def needed(registry: Registry, type: str, why: str) -> Resolved:
    """Find a processor that a setting asks for. Raises ``FeatureNotSupported`` saying how to get it."""
    if (found := find(registry, type)) is None:
        raise FeatureNotSupported(f"{why} needs the plugin {KNOWN[type]!r}, which is not installed: {_hint(type)}")
    return found


def read(registry: Registry, wanted: Sequence[Raw]) -> list[tuple[Resolved, Any]]:
    """Read the effects of a request: each processor with its options.

    Raises:
        InvalidRequest: naming the place in the list, and the field.
        FeatureNotSupported: an effect of ours whose plugin is not installed.
    """
    return [_read(registry, f"effects[{at}]", raw) for at, raw in enumerate(wanted)]


def _read(registry: Registry, where: str, raw: Raw) -> tuple[Resolved, Any]:
    try:
        sent = msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.ValidationError:
        raise InvalidRequest(f"{where}: must be an object with a type", param=where) from None
    type = sent.pop("type", None)
    if not isinstance(type, str):
        raise InvalidRequest(f"{where}.type: must be the name of an effect", param=f"{where}.type")
    if (found := find(registry, type)) is None:
        if type in KNOWN:
            message = (
                f"{where}: effect {type!r} needs the plugin {KNOWN[type]!r}, which is not installed: {_hint(type)}"
            )
            raise FeatureNotSupported(message, param=f"{where}.type")
        has = ", ".join(each.id for each in installed(registry)) or "none is installed"
        raise InvalidRequest(f"{where}: no effect is called {type[:60]!a}; effects: {has}", param=f"{where}.type")
    own = {field.encode_name for field in msgspec.structs.fields(found.provider.RequestOptions)}
    if strange := next((name for name in sent if name not in own), None):
        takes = f"it takes {', '.join(sorted(own))}" if own else "it takes none"
        message = f"{where}: effect {type!r} has no field {strange[:60]!a}; {takes}"
        raise InvalidRequest(message, param=f"{where}.{strange[:60]}")
    try:
        return found, decode_request_options(found.provider.RequestOptions, sent, strict=True)
    except InvalidRequest as error:
        param = f"{where}.{error.param}" if error.param else where
        raise InvalidRequest(f"{param}: {error.message}", param=param) from error


def _hint(type: str) -> str:
    name = "effects" if KNOWN[type] == "loudness" else KNOWN[type]
    return f'in a clone, pip install ".[{name}]"'
