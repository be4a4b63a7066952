"""The old routes of models, for clients that still use them; ``/api/models`` is their successor."""

from __future__ import annotations

from litestar import Controller, delete, get, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.params import FromPath

from open_speech_api.services import Services
from open_speech_api.wire.lifecycle import LegacyState, ManagedModel, RunningModel, RunningModelList
from open_speech_core.errors import NotLoaded
from open_speech_core.registry import Resolved

from .choosing import any_kind, check_control, check_id
from .listing import known
from .states import managed
from .waiting import AnyRequest, while_connected


class LegacyController(Controller):
    """Deprecated routes, which say so."""

    path = "/api"
    tags = ("Models",)
    response_headers = (ResponseHeader(name="Deprecation", value="true"),)

    @get("/ps", summary="List loaded recognisers (old)", deprecated=True)
    async def running(self, services: NamedDependency[Services]) -> RunningModelList:
        """List the transcribers in memory; use ``GET /api/models``."""
        shown = [managed(services, each) for each in await known(services)]
        return RunningModelList(
            models=tuple(_running(model) for model in shown if model.type == "stt" and model.state == "loaded")
        )

    @post("/ps/{rest:path}", summary="Load a model (old)", status_code=200, deprecated=True)
    async def load(self, request: AnyRequest, services: NamedDependency[Services], rest: FromPath[str]) -> LegacyState:
        """Load a model; use ``POST /api/models/{id}/load``."""
        found = _controlled(services, rest)
        await while_connected(request, services.pool.load(services.targets.engine(found)))
        return LegacyState(status="loaded", model=found.id)

    @delete("/ps/{rest:path}", summary="Unload a model (old)", status_code=200, deprecated=True)
    async def unload(self, services: NamedDependency[Services], rest: FromPath[str]) -> LegacyState:
        """Unload a model; use ``DELETE /api/models/{id}``."""
        found = _controlled(services, rest)
        if not await services.pool.unload(found.key):
            raise NotLoaded(f"model {found.id!r} is not loaded", param="model")
        return LegacyState(status="unloaded", model=found.id)

    @post("/pull/{rest:path}", summary="Fetch a model's weights (old)", status_code=200, deprecated=True)
    async def pull(self, request: AnyRequest, services: NamedDependency[Services], rest: FromPath[str]) -> LegacyState:
        """Fetch weights and load nothing; use ``POST /api/models/{id}/download``."""
        found = _controlled(services, rest)
        if not services.registry.on_disk(found):
            await while_connected(request, services.downloads.fetch(services.targets.download(found)))
        return LegacyState(status="downloaded", model=found.id)


def _controlled(services: Services, rest: str) -> Resolved:
    check_control(services)
    return any_kind(services, check_id(rest.removeprefix("/")))


def _running(shown: ManagedModel) -> RunningModel:
    return RunningModel(
        model=shown.id,
        backend=shown.backend,
        device=shown.device,
        compute_type=shown.compute_type,
        loaded_at=shown.loaded_at,
        last_used_at=shown.last_used_at,
        is_default=shown.is_default,
        ttl_remaining=shown.ttl_remaining,
    )
