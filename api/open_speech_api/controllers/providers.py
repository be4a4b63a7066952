"""Providers: what is here, what could be, and installing it while the server runs."""

from __future__ import annotations

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from open_speech_api.failures import too_deep
from open_speech_api.installs import Entry, Job
from open_speech_api.installs.environment import redact
from open_speech_api.services import Services
from open_speech_api.wire.providers import (
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
from open_speech_core.plugins import PluginRecord
from open_speech_core.providers import AnyProvider


class ProvidersController(Controller):
    path = "/api"
    tags = ("Providers",)

    @get("/plugins", summary="List plugins and what is wrong with them")
    async def plugins(self, services: NamedDependency[Services]) -> PluginList:
        """List what discovery found here and in other environments."""
        registry = services.registry
        return PluginList(plugins=tuple(map(_plugin, registry.plugins)), conflicts=registry.conflicts)

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
        exception_handlers={RecursionError: too_deep},
    )
    async def install(self, services: NamedDependency[Services], data: InstallRequest) -> Response[InstallStarted]:
        """Begin to install a provider into an environment of its own; 200 if it is part of the server's."""
        check_install(services)
        job = services.installs.start(data.provider, data.model)
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
        """Stop an install; when this answers, nothing of it runs or lies here."""
        check_install(services)
        return _job(await services.installs.cancel(job_id))

    @delete("/providers/{name:str}", summary="Remove an installed provider", status_code=200)
    async def remove(self, services: NamedDependency[Services], name: FromPath[str]) -> ProviderRemoved:
        """Remove a provider that was installed here, its environment included; 409 while it serves."""
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
        job_id=job.job_id, provider=job.provider, status=job.status, step=job.step, output=job.output, error=job.error
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
    own = record.interpreter is not None
    changed = entry is not None and own and entry.version != record.version
    return ProviderObject(
        name=provider.info.name,
        title=provider.info.title,
        kinds=tuple(dict.fromkeys(each.kind for _, each in pairs)),
        installed=True,
        state="installing" if services.installs.running(provider.info.name) else "installed",
        where="own" if own else "server",
        version=record.version,
        licence=provider.info.licence,
        weights_licence=entry.weights_licence if entry else "",
        python=entry.python if entry else None,
        size_mb=entry.size_mb if entry else None,
        update=entry.version if entry is not None and changed else None,
    )


def _available(entry: Entry, services: Services) -> ProviderObject:
    return ProviderObject(
        name=entry.name,
        title=entry.title,
        kinds=entry.kinds,
        installed=False,
        state="installing" if services.installs.running(entry.name) else "available",
        licence=entry.licence,
        weights_licence=entry.weights_licence,
        python=entry.python,
        size_mb=entry.size_mb,
    )
