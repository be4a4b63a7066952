"""The state of a model, put together from the disk, the downloads and the pool."""

from __future__ import annotations

from open_speech_api.installs import Entry
from open_speech_api.runtime.downloads import Download
from open_speech_api.services import Services
from open_speech_api.wire.lifecycle import ManagedModel, ModelProgress, ModelType, State, Status
from open_speech_core.errors import ErrorInfo
from open_speech_core.registry import Resolved
from open_speech_core.types import Capabilities

from .listing import Known, loaded_of, look, unix

BYTES_PER_MB = 1_000_000


def state_of(services: Services, known: Known) -> State:
    """Give the state of docs/models.md."""
    fleet = services.pool.find(known.found.key)
    download = services.downloads.find(known.found.key)
    if fleet is not None and fleet.replicas:
        return "loaded"
    if download is not None and download.state != "failed":
        return download.state
    if fleet is not None and fleet.starting:
        return "loading" if fleet.loading else "queued"
    if fleet is not None and fleet.failed:
        return "failed"
    return "downloaded" if known.here else "available"


def show(services: Services, found: Resolved) -> ManagedModel:
    """Show one model as it is now."""
    return managed(services, look(services, found))


def managed(services: Services, known: Known) -> ManagedModel:
    """Show a model that was looked at."""
    found = known.found
    fleet, download = services.pool.find(found.key), services.downloads.find(found.key)
    loaded, state = loaded_of(fleet), state_of(services, known)
    remaining = fleet.ttl_remaining_s() if fleet else None
    return ManagedModel(
        id=found.id,
        type=model_type(found),
        backend=found.provider.info.name,
        provider=found.provider.info.name,
        state=state,
        capabilities=found.provider.capabilities,
        is_default=known.default,
        device=loaded.device if loaded else None,
        compute_type=loaded.compute_type if loaded else None,
        title=found.model.title,
        description=found.model.description,
        languages=found.model.languages,
        licence=found.model.licence,
        size_mb=round(found.model.bytes / BYTES_PER_MB, 1) or None,
        memory_mb=services.memory.needed_of(found.key, services.targets.spec(found).load) or None,
        loaded_at=unix(fleet.loaded_at) if fleet else None,
        last_used_at=unix(fleet.last_used) if fleet and loaded else None,
        ttl_remaining=None if remaining is None else round(remaining, 1),
        progress=_fraction(download) if download and state in ("queued", "downloading") else None,
        error=_error(services, found),
    )


def unavailable(entry: Entry, id: str) -> ManagedModel:
    """Show a model whose provider could be installed."""
    return ManagedModel(
        id=id,
        type="stt" if entry.kinds[0] == "transcriber" else "tts",
        backend=entry.name,
        provider=entry.name,
        state="provider_missing",
        capabilities=Capabilities(),
        provider_available=False,
        description=f"Needs the provider {entry.title}, which is not installed",
        licence=entry.weights_licence,
    )


def progress_of(services: Services, found: Resolved) -> ModelProgress:
    """Show how far a model is on its way into memory."""
    state, error = state_of(services, look(services, found)), _error(services, found)
    download = services.downloads.find(found.key)
    if download is None:
        size = services.downloads.fetched_bytes(found.key) or found.model.bytes
        here = state in ("downloaded", "loading", "loaded")
        download = Download(state="downloading", bytes_done=size if here else 0, bytes_total=size)
    moving = state in ("queued", "downloading")
    status: Status = state if state in ("queued", "downloading", "downloaded", "loading") else "idle"
    if state == "loaded":
        status = "ready"
    elif error is not None and not moving:
        status = "failed"
    return ModelProgress(
        id=found.id,
        status=status,
        progress=1.0 if state in ("downloaded", "loading", "loaded") else _fraction(download),
        bytes_done=download.bytes_done,
        bytes_total=download.bytes_total,
        speed_bps=round(download.speed_bps) if moving else 0.0,
        eta_s=None if download.eta_s is None or not moving else round(download.eta_s, 1),
        error=error,
    )


def model_type(found: Resolved) -> ModelType:
    return "stt" if found.model.kind == "transcriber" else "tts"


def _error(services: Services, found: Resolved) -> ErrorInfo | None:
    """Give what the last attempt ended in: of the load, which the download is part of, else of the download."""
    fleet, download = services.pool.find(found.key), services.downloads.find(found.key)
    if fleet is not None and (fleet.replicas or fleet.starting):
        return None
    if download is not None:
        return download.error
    return fleet.error if fleet else None


def _fraction(download: Download) -> float:
    return round(download.bytes_done / download.bytes_total, 4) if download.bytes_total else 0.0
