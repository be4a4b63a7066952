"""Which model an id means, and who may control it."""

from __future__ import annotations

import re

from open_speech_api.installs import Entry
from open_speech_api.services import Services
from open_speech_core.errors import Forbidden, InvalidRequest, ModelNotFound, ProviderMissing
from open_speech_core.registry import DEFAULT_ALIASES, Resolved
from open_speech_core.types import Kind

OFFERED: tuple[Kind, ...] = ("transcriber", "synthesizer")
"""Kinds whose models are listed."""
CONTROLLED: tuple[Kind, ...] = (*OFFERED, "diarizer")
"""Kinds whose models are fetched, loaded and deleted by name."""
ID_MAX_CHARACTERS = 512
_NAME_ENDS = re.compile("[:/]")
"""A provider's name is before the first of these."""


def check_control(services: Services) -> None:
    """Raise ``Forbidden`` where anybody could load, delete and install."""
    if not services.settings.server.api_keys and not services.local_only:
        raise Forbidden("this needs OS_API_KEY to be set when the server is reachable from outside")


def check_id(id: str) -> str:
    """Give back an id that may stand for a model or a file of one. Raises ``InvalidRequest``."""
    parts = id.split("/")
    bad = (
        not id
        or len(id) > ID_MAX_CHARACTERS
        or "\\" in id
        or any(part in ("", ".", "..") for part in parts)
        or any(not character.isprintable() for character in id)
    )
    if bad:
        shown = ascii(id if len(id) <= 100 else f"{id[:100]}...")
        raise InvalidRequest(f"{shown} is no model's id", param="model")
    return id


def setting_of(services: Services, kind: Kind) -> str | None:
    """Give the configured default of a kind."""
    stt, tts = services.settings.stt, services.settings.tts
    return {"transcriber": stt.model, "synthesizer": tts.model, "diarizer": stt.diarize_model}.get(kind)


def offered(services: Services) -> tuple[Kind, ...]:
    """Name the kinds whose models are shown."""
    return OFFERED if services.settings.tts.enabled else ("transcriber",)


def is_known(services: Services, id: str) -> bool:
    """Say whether a model has exactly this id: one that is listed, or lies here, not one that could be fetched."""
    if any(services.registry.listed(kind, id) for kind in CONTROLLED):
        return True
    claims = [claim for kind in CONTROLLED if (claim := _claimed(services, kind, id)) is not None]
    return any(claim.id == id and services.registry.on_disk(claim) for claim in claims)


def missing(services: Services, id: str) -> Entry | None:
    """Give the catalogue's entry whose provider would have a model, while that is not installed."""
    if any(services.registry.listed(kind, id) for kind in CONTROLLED):
        return None
    absent = services.installs.missing()
    if (listed := next((entry for entry in absent if id in entry.models), None)) is not None:
        return listed
    named = next((entry for entry in absent if id in entry.aliases), None)
    if named is not None and not any(id in provider.aliases for provider in services.registry.providers):
        return named
    # No list names them all: ``piper/...`` is Piper's as long as nobody else has that name.
    name = _NAME_ENDS.split(id, 1)[0]
    taken = any(provider.info.name == name for provider in services.registry.providers)
    return None if taken else next((entry for entry in absent if entry.name == name), None)


def provider_missing(entry: Entry, id: str) -> ProviderMissing:
    """Say which provider a model needs, and how to get it."""
    shown = id if len(id) <= 100 else f"{id[:100]}..."
    return ProviderMissing(
        f"model {shown!r} needs the provider {entry.name!r}, which is not installed; "
        f"run: open-speech providers install {entry.name}, or "
        f'POST /api/providers/install {{"provider": "{entry.name}"}}',
        param="model",
    )


def of_kind(services: Services, kind: Kind, id: str) -> Resolved:
    """Find a model of one kind for a request; an empty id means the default.

    Raises:
        ProviderMissing: the catalogue knows its provider, which is not installed.
        ModelNotFound: nobody knows it.
    """
    setting = setting_of(services, kind)
    try:
        return services.registry.resolve(kind, id, setting=setting)
    except ModelNotFound:
        wanted = (setting or "") if not id or id in DEFAULT_ALIASES[kind] else id
        if (entry := missing(services, wanted)) is not None and kind in entry.kinds:
            raise provider_missing(entry, wanted) from None
        raise


def any_kind(services: Services, id: str) -> Resolved:
    """Find a model of any kind: who lists the id, else whose name it begins with, else who claims it first.

    Raises:
        ProviderMissing: the catalogue knows its provider, which is not installed.
        ModelNotFound: nobody knows it.
    """
    for kind in CONTROLLED:
        if (found := services.registry.listed(kind, id)) is not None:
            return found
    if (entry := missing(services, id)) is not None:
        raise provider_missing(entry, id)
    claims = [claim for kind in CONTROLLED if (claim := _claimed(services, kind, id)) is not None]
    for claim in claims:
        if claim.provider.info.name == id.partition("/")[0]:
            return claim
    if claims:
        return claims[0]
    shown = id if len(id) <= 100 else f"{id[:100]}..."
    raise ModelNotFound(f"The model {shown!r} does not exist.", param="model")


def _claimed(services: Services, kind: Kind, id: str) -> Resolved | None:
    try:
        return services.registry.resolve(kind, id, setting=setting_of(services, kind))
    except ModelNotFound:
        return None
