"""Providers: what is here, what could be, and installing it while the server runs."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import Body, FromPath

from open_speech_api.failures import too_deep
from open_speech_api.installs import Entry, Job
from open_speech_api.installs.environment import redact
from open_speech_api.runtime import effects
from open_speech_api.services import Services
from open_speech_api.wire.providers import (
    EffectList,
    EffectObject,
    InstallJob,
    InstallRequest,
    InstallStarted,
    PluginList,
    PluginObject,
    ProviderList,
    ProviderObject,
    ProviderRemoved,
)
from open_speech_core.errors import FeatureDisabled, JobNotFound
from open_speech_core.options import schema_of
from open_speech_core.plugins import PluginRecord
from open_speech_core.providers import AnyProvider
from open_speech_core.registry import Resolved

Wish = Annotated[InstallRequest, Body()]


class ProvidersController(Controller):
    path = "/api"
    tags = ("Providers",)

    @get("/plugins", summary="List plugins and what is wrong with them")
    async def plugins(self, services: NamedDependency[Services]) -> PluginList:
        """List what discovery found here and in other environments."""
        registry = services.registry
        return PluginList(plugins=tuple(map(_plugin, registry.plugins)), conflicts=registry.conflicts)

    @get("/effects", summary="List effects")
    async def effects(self, services: NamedDependency[Services]) -> EffectList:
        """List what ``effects`` of ``POST /v1/audio/speech`` may name, each with the JSON Schema of its fields."""
        found = () if not services.settings.server.effects_enabled else effects.installed(services.registry)
        return EffectList(effects=tuple(map(_effect, found)))

    @get("/providers", summary="List providers, installed or not")
    async def providers(self, services: NamedDependency[Services]) -> ProviderList:
        """List the providers that are here and those of the catalogue."""
        here: dict[str, list[tuple[PluginRecord, AnyProvider]]] = {}
        for record, provider in services.registry.pairs:
            here.setdefault(provider.info.name, []).append((record, provider))
        entries = {entry.name: entry for entry in services.installs.catalogue}
        found = [_here(pairs, entries.get(name), services) for name, pairs in here.items()]
        found += [_available(entry, services) for name, entry in entries.items() if name not in here]
        return ProviderList(providers=tuple(found))

    @post(
        "/providers/install",
        summary="Install a provider of the catalogue",
        status_code=202,
        responses={200: ResponseSpec(InstallStarted, description="There is nothing to do.")},
        exception_handlers={RecursionError: too_deep},
    )
    async def install(self, services: NamedDependency[Services], data: Wish) -> Response[InstallStarted]:
        """Begin to install a provider into an environment of its own, or give the install that runs; 200 where there is
        nothing to do."""
        check_install(services)
        job = await services.installs.start(data.provider, data.model, again=data.again)
        answer = InstallStarted(job_id=job.job_id, status=job.status)
        return Response(answer, status_code=202 if job.status == "installing" else 200)

    @get("/providers/install/{job_id:str}", summary="Show an install")
    async def job(self, services: NamedDependency[Services], job_id: FromPath[str]) -> InstallJob:
        """Show how far an install is and what it said last."""
        if (job := services.installs.find(job_id)) is None:
            raise JobNotFound("no install has this number")
        return _job(job)

    @delete("/providers/install/{job_id:str}", summary="Cancel an install", status_code=200)
    async def cancel(self, services: NamedDependency[Services], job_id: FromPath[str]) -> InstallJob:
        """Stop an install; when this answers, nothing of it runs or lies here. One that ended stays as it is."""
        check_install(services)
        return _job(await services.installs.cancel(job_id))

    @delete("/providers/{name:str}", summary="Remove an installed provider", status_code=200)
    async def remove(self, services: NamedDependency[Services], name: FromPath[str]) -> ProviderRemoved:
        """Remove a provider that was installed here, its environment included, its weights not; 409 while it serves."""
        check_install(services)
        await services.installs.remove(name)
        return ProviderRemoved(status="removed", provider=name)


def check_install(services: Services) -> None:
    """Raise ``FeatureDisabled`` where anybody could install, or where it is switched off."""
    server = services.settings.server
    if not server.provider_install:
        raise FeatureDisabled("installing providers is switched off by OS_PROVIDER_INSTALL")
    if not server.api_keys and not services.local_only:
        raise FeatureDisabled("installing needs OS_API_KEY to be set when the server is reachable from outside")


def _job(job: Job) -> InstallJob:
    return InstallJob(
        job_id=job.job_id,
        provider=job.provider,
        version=job.version,
        status=job.status,
        step=job.step,
        output=job.output,
        error=job.error,
        started_at=job.started_at,
        ended_at=job.ended_at,
    )


def _plugin(record: PluginRecord) -> PluginObject:
    return PluginObject(
        name=record.name,
        distribution=record.distribution,
        version=record.version,
        where="server" if record.interpreter is None else "own",
        error=None if record.error is None else redact(record.error, {}),
    )


def _here(pairs: list[tuple[PluginRecord, AnyProvider]], entry: Entry | None, services: Services) -> ProviderObject:
    record, provider = pairs[0]
    installs, name = services.installs, provider.info.name
    own = record.interpreter is not None
    running = installs.running(name)
    return ProviderObject(
        name=name,
        title=provider.info.title,
        kinds=tuple(dict.fromkeys(each.kind for _, each in pairs)),
        installed=True,
        state="installed" if running is None else "installing",
        where="own" if own else "server",
        removable=installs.removable(name),
        version=record.version,
        licence=provider.info.licence,
        weights_licence=entry.weights_licence if entry else "",
        python=entry.python if entry else None,
        size_mb=entry.size_mb if entry else None,
        update=entry.version if entry is not None and own and installs.outdated(entry) else None,
        job_id=None if running is None else running.job_id,
    )


def _available(entry: Entry, services: Services) -> ProviderObject:
    running = services.installs.running(entry.name)
    return ProviderObject(
        name=entry.name,
        title=entry.title,
        kinds=entry.kinds,
        installed=False,
        state="available" if running is None else "installing",
        licence=entry.licence,
        weights_licence=entry.weights_licence,
        python=entry.python,
        size_mb=entry.size_mb,
        job_id=None if running is None else running.job_id,
        problem=_problem(entry, services),
    )


def _problem(entry: Entry, services: Services) -> str | None:
    try:
        check_install(services)
    except FeatureDisabled as error:
        return error.message
    return services.installs.lacking(entry)


def _effect(found: Resolved) -> EffectObject:
    return EffectObject(
        type=found.id,
        title=found.model.title,
        description=found.model.description,
        streams=found.provider.capabilities.streaming,
        schema=schema_of(found.provider.RequestOptions),
    )
