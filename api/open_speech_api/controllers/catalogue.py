"""What can be asked for: models and voices, and loading and unloading them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import Body, FromPath, QueryParameter

from open_speech_api.failures import too_deep
from open_speech_api.runtime.fleet import Fleet
from open_speech_api.services import Services
from open_speech_api.wire.models import (
    AudioModel,
    AudioModelList,
    ModelChoice,
    ModelDeleted,
    ModelList,
    ModelObject,
    ModelState,
    VoiceList,
    VoiceObject,
)
from open_speech_core.errors import ModelNotFound, NotLoaded, ProviderMissing
from open_speech_core.registry import OPENAI_VOICES, Resolved

from .choosing import any_kind, check_control, check_id, of_kind
from .listing import listed, loaded_of, unix
from .models import ENDS

Chosen = Annotated[ModelChoice | None, Body()]


class CatalogueController(Controller):
    path = "/v1"

    @get("/models", summary="List models", tags=["Models"])
    async def models(self, services: NamedDependency[Services]) -> ModelList:
        """List every model that is ready on this machine, and the defaults."""
        return ModelList(data=tuple(_object(services, found) for found in await listed(services)))

    @get("/models/{rest:path}", summary="Show a model", tags=["Models"])
    async def model(self, services: NamedDependency[Services], rest: FromPath[str]) -> ModelObject:
        """Show one model; the id may hold slashes, raw or as ``%2F``."""
        try:
            return _object(services, any_kind(services, rest.removeprefix("/")))
        except ProviderMissing as error:
            raise ModelNotFound(error.message, param="model") from None

    @delete("/models/{rest:path}", summary="Delete a model", status_code=200, tags=["Models"])
    async def delete_model(self, services: NamedDependency[Services], rest: FromPath[str]) -> ModelDeleted:
        """Delete a model's files from this machine, unloading it first; 409 while it serves."""
        check_control(services)
        found = any_kind(services, check_id(rest.removeprefix("/")))
        ended = await ENDS["artifacts"](services, found)
        return ModelDeleted(id=found.id, deleted=ended.status == "deleted")

    @get("/audio/models", summary="List models with their state", tags=["Models"])
    async def audio_models(self, services: NamedDependency[Services]) -> AudioModelList:
        """List every model that is ready on this machine, loaded or not."""
        return AudioModelList(models=tuple(_state(services, found) for found in await listed(services)))

    @post(
        "/audio/models/load",
        summary="Load a model",
        status_code=200,
        tags=["Models"],
        exception_handlers={RecursionError: too_deep},
    )
    async def load(self, services: NamedDependency[Services], data: Chosen = None) -> ModelState:
        """Load a model and wait until it is ready; without a body, the default voice model."""
        found = _chosen(services, data)
        await services.pool.load(services.targets.engine(found))
        return ModelState(status="loaded", model=found.id)

    @post(
        "/audio/models/unload",
        summary="Unload a model",
        status_code=200,
        tags=["Models"],
        exception_handlers={RecursionError: too_deep},
    )
    async def unload(self, services: NamedDependency[Services], data: Chosen = None) -> ModelState:
        """End a model's workers; when this answers, the memory is back."""
        found = _chosen(services, data)
        if not await services.pool.unload(found.key):
            raise NotLoaded(f"model {found.id!r} is not loaded", param="model")
        return ModelState(status="unloaded", model=found.id)

    @get("/audio/voices", summary="List voices", tags=["Speech"])
    async def voices(
        self,
        services: NamedDependency[Services],
        model: Annotated[str | None, QueryParameter(description="Only the voices of this model or provider.")] = None,
    ) -> VoiceList:
        """List the voices of the models that are ready here; OpenAI's names are marked as aliases."""
        if not services.settings.tts.enabled:
            raise ModelNotFound("TTS is disabled", param=None)
        if model is None:
            chosen = [found for found in await listed(services) if found.model.kind == "synthesizer"]
        else:
            chosen = _voiced(services, model)
        return VoiceList(voices=tuple(voice for found in chosen for voice in _voices(services, found)))


def _chosen(services: Services, data: ModelChoice | None) -> Resolved:
    """Resolve the body's model for a caller who may control models."""
    check_control(services)
    if data is None or not data.model:
        return of_kind(services, "synthesizer", "")
    return any_kind(services, data.model)


def _voiced(services: Services, asked: str) -> list[Resolved]:
    """Give the models that a model id, or a provider's name, stands for."""
    of_provider = [
        found
        for found in services.registry.models("synthesizer")
        if found.provider.info.name == asked and services.registry.on_disk(found)
    ]
    return of_provider or [of_kind(services, "synthesizer", asked)]


def _voices(services: Services, found: Resolved) -> list[VoiceObject]:
    own = {voice.id: voice for voice in services.registry.voices(found)}
    listed = [
        VoiceObject(
            id=voice.id,
            name=voice.name,
            language=voice.language,
            gender=voice.gender,
            description=voice.description,
            provider=found.provider.info.name,
            model=found.id,
        )
        for voice in own.values()
    ]
    for name in OPENAI_VOICES:
        if own and name not in own:
            spoken_by = own[services.registry.voice(found, name)]
            listed.append(
                VoiceObject(
                    id=name,
                    name=name.title(),
                    language=spoken_by.language,
                    gender=spoken_by.gender,
                    description=f"Spoken by {spoken_by.name}",
                    provider=found.provider.info.name,
                    model=found.id,
                    alias=True,
                )
            )
    return listed


def _object(services: Services, found: Resolved) -> ModelObject:
    return ModelObject(
        id=found.id,
        created=_created(services, found),
        owned_by=f"open-speech/{found.provider.info.name}",
        kind=found.model.kind,
        provider=found.provider.info.name,
    )


def _created(services: Services, found: Resolved) -> int:
    """Give when its weights came, in Unix seconds."""
    source = services.registry.source(found)
    paths = (source.path,) if source is not None else found.provider.artifacts(found.model).paths
    with contextlib.suppress(OSError, IndexError):
        return int(Path(paths[0]).stat().st_mtime)
    return services.installed_at


def _state(services: Services, found: Resolved) -> AudioModel:
    fleet = services.pool.find(found.key)
    loaded = loaded_of(fleet)
    return AudioModel(
        id=found.id,
        model=found.id,
        backend=found.provider.info.name,
        device=loaded.device if loaded else None,
        status=_status(fleet),
        loaded_at=unix(fleet.loaded_at) if fleet else None,
        last_used_at=unix(fleet.last_used) if fleet else None,
        kind=found.model.kind,
    )


def _status(fleet: Fleet | None) -> str:
    if fleet is None:
        return "not_loaded"
    if fleet.replicas:
        return "loaded"
    return "loading" if fleet.loading else "failed" if fleet.failed else "not_loaded"
