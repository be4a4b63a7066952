"""Models that come and go: their states, loading, fetching, unloading, deleting.

Ids hold slashes, so each method has one route that takes the whole rest of the path; its last word may be a verb.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from open_speech_api.runtime import weights
from open_speech_api.services import Services
from open_speech_api.wire.lifecycle import (
    FilesDeleted,
    ManagedModel,
    ManagedModelList,
    ModelFile,
    ModelFiles,
    ModelProgress,
    ModelUnloaded,
)
from open_speech_core.errors import (
    FeatureNotSupported,
    InUse,
    InvalidRequest,
    NotLoaded,
)
from open_speech_core.registry import Resolved
from open_speech_core.types import Artifacts

from .choosing import any_kind, check_control, check_id, is_known, missing
from .listing import known
from .states import managed, progress_of, show, unavailable
from .waiting import AnyRequest, while_connected

Wait: TypeAlias = Annotated[
    bool, QueryParameter(description="Whether to answer when it is done; else 202 at once, and `/progress` says more.")
]
End: TypeAlias = Callable[[Services, Resolved], Coroutine[Any, Any, ModelUnloaded | FilesDeleted]]


class Act(Struct, frozen=True, kw_only=True):
    """What a verb does, for callers that wait and for those that do not."""

    wait: Callable[[Services, Resolved], Coroutine[Any, Any, None]]
    begin: Callable[[Services, Resolved], None]


class ModelsController(Controller):
    path = "/api/models"
    tags = ("Models",)

    @get("/", summary="List every model with its state")
    async def models(self, services: NamedDependency[Services]) -> ManagedModelList:
        """List every model that providers know or that lies on this machine."""
        found = [managed(services, each) for each in await known(services)]
        ids = {each.id for each in found}
        found += [
            unavailable(entry, id) for entry in services.installs.missing() for id in entry.models if id not in ids
        ]
        return ManagedModelList(models=tuple(found))

    @get("/{rest:path}", summary="Show a model: status, progress or artifacts")
    async def show(
        self, services: NamedDependency[Services], rest: FromPath[str]
    ) -> ManagedModel | ModelProgress | ModelFiles:
        """Show a model's state (``/{id}`` or ``/{id}/status``), how far it is (``/{id}/progress``), or its files
        (``/{id}/artifacts``). The id may hold slashes, raw or as ``%2F``."""
        id, verb = _split(services, rest, LOOKS)
        if verb in ("", "status") and (entry := missing(services, id)) is not None:
            return unavailable(entry, id)
        return LOOKS[verb](services, any_kind(services, id))

    @post("/{rest:path}", summary="Load, download or prefetch a model", status_code=200)
    async def act(
        self, request: AnyRequest, services: NamedDependency[Services], rest: FromPath[str], wait: Wait = True
    ) -> Response[ManagedModel]:
        """Load a model (``/{id}/load``), fetching it first if need be, or only fetch it (``/{id}/download``,
        ``/{id}/prefetch``). Who leaves meanwhile ends nothing."""
        check_control(services)
        id, verb = _split(services, rest, ACTS)
        found = any_kind(services, id)
        if not wait:
            ACTS[verb].begin(services, found)
            return Response(show(services, found), status_code=202)
        await while_connected(request, ACTS[verb].wait(services, found))
        return Response(show(services, found))

    @delete("/{rest:path}", summary="Unload a model, cancel its download or delete its files", status_code=200)
    async def end(self, services: NamedDependency[Services], rest: FromPath[str]) -> ModelUnloaded | FilesDeleted:
        """Unload a model (``/{id}``): when this answers, its processes are gone. Cancel its download
        (``/{id}/download``). Delete its files (``/{id}/artifacts``), unloading it first; 409 while it serves."""
        check_control(services)
        id, verb = _split(services, rest, ENDS)
        return await ENDS[verb](services, any_kind(services, id))


def _split(services: Services, rest: str, verbs: Mapping[str, object]) -> tuple[str, str]:
    """Split a path into an id and a verb; the verb is empty where the method has a meaning without one.

    An id that itself ends in a verb's word is found whole when a model of this very name is there. That somebody would
    claim it is not enough: any two words may name a repository.
    """
    whole = check_id(rest.removeprefix("/"))
    id, _, verb = whole.rpartition("/")
    if id and verb in verbs and ("" not in verbs or is_known(services, id) or not is_known(services, whole)):
        return id, verb
    if "" not in verbs:
        raise InvalidRequest(f"the path must end in one of: {', '.join(verbs)}")
    return whole, ""


async def _load(services: Services, found: Resolved) -> None:
    await services.pool.load(services.targets.engine(found))


def _begin_load(services: Services, found: Resolved) -> None:
    services.pool.begin(services.targets.engine(found))


async def _fetch(services: Services, found: Resolved) -> None:
    if not services.registry.on_disk(found):
        await services.downloads.fetch(services.targets.download(found))


def _begin_fetch(services: Services, found: Resolved) -> None:
    if not services.registry.on_disk(found):
        services.downloads.begin(services.targets.download(found))


async def _unload(services: Services, found: Resolved) -> ModelUnloaded:
    if not await services.pool.unload(found.key):
        raise NotLoaded(f"model {found.id!r} is not loaded", param="model")
    return ModelUnloaded(status="unloaded", model=found.id)


async def _cancel(services: Services, found: Resolved) -> ModelUnloaded:
    if not await services.downloads.cancel(found.key):
        raise NotLoaded(f"model {found.id!r} is not being downloaded", param="model")
    return ModelUnloaded(status="cancelled", model=found.id)


async def _delete(services: Services, found: Resolved) -> FilesDeleted:
    if services.registry.source(found) is not None:
        raise FeatureNotSupported(
            f"the weights of {found.id!r} are part of an installed package; uninstall that", param="model"
        )
    download = services.downloads.find(found.key)
    if download is not None and download.state != "failed":
        raise InUse(f"model {found.id!r} is being downloaded; cancel that first", param="model")
    fleet = services.pool.find(found.key)
    if fleet is not None and not fleet.idle:
        raise InUse(f"model {found.id!r} serves a request right now; try again", param="model")
    await services.pool.unload(found.key)
    there = found.provider.artifacts(found.model)
    names, freed = await asyncio.to_thread(weights.remove, there.paths, services.targets.roots())
    services.targets.note(services.targets.download(found), Artifacts())
    return FilesDeleted(
        status="deleted" if names else "not_found",
        model=found.id,
        provider=found.provider.info.name,
        deleted_paths=tuple(names),
        freed_bytes=freed,
    )


def _files(services: Services, found: Resolved) -> ModelFiles:
    there = found.provider.artifacts(found.model)
    listed = weights.files(there.paths, services.targets.roots())
    return ModelFiles(
        model=found.id,
        provider=found.provider.info.name,
        complete=services.registry.on_disk(found),
        bytes=sum(size for _, size in listed),
        files=tuple(ModelFile(name=name, bytes=size) for name, size in listed),
    )


LOOKS: Mapping[str, Callable[[Services, Resolved], ManagedModel | ModelProgress | ModelFiles]] = MappingProxyType(
    {"": show, "status": show, "progress": progress_of, "artifacts": _files}
)
ACTS: Mapping[str, Act] = MappingProxyType(
    {
        "load": Act(wait=_load, begin=_begin_load),
        "download": Act(wait=_fetch, begin=_begin_fetch),
        "prefetch": Act(wait=_fetch, begin=_begin_fetch),
    }
)
ENDS: Mapping[str, End] = MappingProxyType({"": _unload, "download": _cancel, "artifacts": _delete})
