"""What may be installed: our own list, and one that the owner adds. A client only ever names an entry."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from open_speech_core.errors import InvalidRequest
from open_speech_core.types import Kind

from .environment import fits

OWN = Path(__file__).parent / "catalogue.json"

Name = Annotated[str, Meta(pattern=r"^(?!install$)[a-z0-9][a-z0-9_-]{0,63}$")]
"""A provider's; it begins a folder's name and stands in paths, where ``install`` is taken."""
Distribution = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Version = Annotated[str, Meta(pattern=r"^[0-9][A-Za-z0-9.!+_]{0,63}$")]
Module = Annotated[str, Meta(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider that can be installed."""

    name: Name
    """What callers name; also the name of the provider."""
    title: str
    kinds: Annotated[tuple[Kind, ...], Meta(min_length=1)]
    distribution: Distribution
    """Our own wheel, looked for in the wheelhouse and never on an index."""
    version: Version
    module: Module
    """Module that registers the provider."""
    requirements: str
    """File of third-party pins with hashes; relative to the catalogue, absolute once read."""
    own: tuple[Distribution, ...] = ("open-speech-core",)
    """Further wheels that come from the wheelhouse."""
    extra: str | None = None
    """Extra of the distribution whose requirements the file holds."""
    imports: tuple[Module, ...] = ()
    """Modules of the engine that must be importable in the new environment: weights may not be here to try it with."""
    python: str = ">=3.11"
    """Range of Python versions, such as ``>=3.11,<3.14``."""
    licence: str
    """SPDX expression of the engine's code."""
    weights_licence: str = ""
    size_mb: Annotated[int, Meta(ge=0)] = 0
    """What the environment takes on disk."""
    models: tuple[str, ...] = ()
    """Ids shown as ``provider_missing`` while it is not installed."""
    aliases: tuple[str, ...] = ()
    """Further names of its models, which are answered so too, unless an installed provider has them."""


def read_catalogue(owners: Path | None = None) -> tuple[Entry, ...]:
    """Read our entries and the owner's, who may replace ours by name.

    Raises ``InvalidRequest`` when the owner's file cannot be read.
    """
    entries = {entry.name: entry for entry in _read(OWN)}
    if owners is not None:
        try:
            entries |= {entry.name: entry for entry in _read(owners)}
        except OSError as error:
            raise InvalidRequest(f"the owner's catalogue cannot be read: {error.strerror}") from error
        except (msgspec.MsgspecError, ValueError) as error:
            raise InvalidRequest(f"the owner's catalogue is not right: {error}") from error
    return tuple(entries.values())


def _read(file: Path) -> list[Entry]:
    found = msgspec.json.decode(file.read_bytes(), type=list[Entry])
    for entry in found:
        fits(entry.python, (3, 11))
        if not (file.parent / entry.requirements).is_file():
            raise ValueError(f"{entry.name} has no file {entry.requirements!r}")
    return [msgspec.structs.replace(entry, requirements=str(file.parent / entry.requirements)) for entry in found]


def choose(entries: Iterable[Entry], provider: str | None, model: str | None = None) -> Entry:
    """Find the entry a caller means. Raises ``InvalidRequest``."""
    known = {entry.name: entry for entry in entries}
    if provider is not None:
        if (named := known.get(provider)) is not None:
            return named
        raise InvalidRequest(f"{provider[:100]!a} is not in the catalogue; known: {', '.join(known)}", param="provider")
    if model is None:
        raise InvalidRequest(f"name a provider of the catalogue: {', '.join(known)}", param="provider")
    for entry in known.values():
        if model in entry.models:
            return entry
    raise InvalidRequest(f"no provider of the catalogue lists a model {model[:100]!a}", param="model")


def pins(entry: Entry) -> tuple[str, ...]:
    """Give the versions that an entry's requirements name, as ``name==version``; markers may choose between some."""
    lines = Path(entry.requirements).read_text(encoding="utf-8").splitlines()
    return tuple(sorted({match[0].lower() for line in lines if (match := _PIN.match(line))}))


_PIN = re.compile(r"[A-Za-z0-9][\w.-]*==[^\s;\\]+")
