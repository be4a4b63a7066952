"""Every model there is to show, found without holding the event loop up."""

from __future__ import annotations

import asyncio
import time

from msgspec import Struct

from open_speech_api.runtime.fleet import Fleet
from open_speech_api.services import Services
from open_speech_core.errors import ModelNotFound
from open_speech_core.registry import Resolved
from open_speech_core.types import Kind, Loaded

from .choosing import OFFERED, offered, setting_of


class Known(Struct, frozen=True, kw_only=True):
    """A model and what the disk says of it."""

    found: Resolved
    here: bool
    """A load would find all it needs on this machine."""
    default: bool
    """It is the default of its kind."""


def look(services: Services, found: Resolved) -> Known:
    """Ask the disk about one model."""
    default = default_of(services, found.model.kind)
    is_default = default is not None and default.key == found.key
    return Known(found=found, here=services.registry.on_disk(found), default=is_default)


async def known(services: Services) -> list[Known]:
    """Give every model that providers list, that lies on this machine or that is on its way or in memory, the default
    of each kind first."""
    shown = await asyncio.to_thread(_survey, services)
    keys = {each.found.key for each in shown}
    for found in _at_work(services):
        if found.key not in keys:
            keys.add(found.key)
            shown.append(look(services, found))
    return shown


async def listed(services: Services) -> list[Resolved]:
    """Give what is ready on disk or in memory, and the default of each kind, the default first."""
    return [
        each.found
        for each in await known(services)
        if each.default or each.here or loaded_of(services.pool.find(each.found.key)) is not None
    ]


def default_of(services: Services, kind: Kind) -> Resolved | None:
    """Give the default model of a kind; None when no provider is installed."""
    try:
        return services.registry.resolve(kind, "", setting=setting_of(services, kind))
    except ModelNotFound:
        return None


def loaded_of(fleet: Fleet | None) -> Loaded | None:
    """Give what a model's load ended in, while it is in memory."""
    return fleet.replicas[0].worker.loaded if fleet and fleet.replicas else None


def unix(monotonic: float | None) -> float | None:
    """Turn the pool's monotonic time into Unix seconds."""
    return None if monotonic is None else round(time.time() - (time.monotonic() - monotonic), 3)


def _survey(services: Services) -> list[Known]:
    """Look at the models that providers list and at those that lie on this machine. Blocks."""
    shown: list[Known] = []
    for kind in offered(services):
        default = default_of(services, kind)
        own = services.registry.models(kind)
        if default is not None:
            own = [default, *(found for found in own if found.key != default.key)]
        shown += [Known(found=found, here=services.registry.on_disk(found), default=found is default) for found in own]
    return shown


def _at_work(services: Services) -> list[Resolved]:
    """Find the models that are in memory or on their way, whoever claimed them."""
    targets = [fleet.target for fleet in services.pool.fleets() if fleet.occupies or fleet.starting]
    found: list[Resolved] = []
    for target in (*targets, *services.downloads.running()):
        spec = target.spec
        if spec.kind in OFFERED:
            try:
                found.append(services.registry.resolve(spec.load.model.kind, f"{spec.provider}:{spec.load.model.id}"))
            except ModelNotFound:
                """Its provider was removed, and it ends with its last caller."""
    return found
