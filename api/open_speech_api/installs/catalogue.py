"""What may be installed: our own list, and one that the owner adds. A client only ever names an entry."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from open_speech_core.errors import InvalidRequest
from open_speech_core.types import Kind

OWN = Path(__file__).parent / "catalogue.json"


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider that can be installed."""

    name: str
    """What callers name; also the name of the provider."""
    title: str
    kinds: tuple[Kind, ...]
    distribution: str
    """Our own wheel, looked for in the wheelhouse and never on an index."""
    version: str
    module: str
    """Module that registers the provider."""
    requirements: str
    """File of third-party pins with hashes; relative to the catalogue, absolute once read."""
    own: tuple[str, ...] = ("open-speech-core",)
    """Further wheels that come from the wheelhouse."""
    extra: str | None = None
    """Extra of the distribution whose requirements the file holds."""
    python: str = ">=3.11"
    """Range of Python versions, such as ``>=3.11,<3.14``."""
    licence: str
    """SPDX expression of the engine's code."""
    weights_licence: str = ""
    size_mb: int = 0
    models: tuple[str, ...] = ()
    """Ids shown as ``provider_missing`` while it is not installed."""


def read_catalogue(owners: Path | None = None) -> tuple[Entry, ...]:
    """Read our entries and the owner's, who may replace ours by name.

    Raises ``InvalidRequest`` when the owner's file cannot be read.
    """
    entries = {entry.name: entry for entry in _read(OWN)}
    if owners is not None:
        try:
            entries |= {entry.name: entry for entry in _read(owners)}
        except (OSError, msgspec.MsgspecError) as error:
            raise InvalidRequest(f"OS_PROVIDER_CATALOGUE cannot be read: {type(error).__name__}") from error
    return tuple(entries.values())


def _read(file: Path) -> list[Entry]:
    found = msgspec.json.decode(file.read_bytes(), type=list[Entry])
    return [msgspec.structs.replace(entry, requirements=str(file.parent / entry.requirements)) for entry in found]


def choose(entries: tuple[Entry, ...], provider: str | None, model: str | None) -> Entry:
    """Find the entry a caller means. Raises ``InvalidRequest``."""
    if provider is not None:
        for entry in entries:
            if entry.name == provider:
                return entry
        known = ", ".join(entry.name for entry in entries)
        raise InvalidRequest(f"{provider[:100]!a} is not in the catalogue; known: {known}", param="provider")
    for entry in entries:
        if model is not None and model in entry.models:
            return entry
    raise InvalidRequest("name a provider of the catalogue", param="provider")
