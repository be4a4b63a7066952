"""Models as ``/api/models`` shows them: their state, their progress, their files."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from open_speech_core.errors import ErrorInfo
from open_speech_core.types import Capabilities

ModelType: TypeAlias = Literal["stt", "tts"]
State: TypeAlias = Literal[
    "provider_missing", "available", "queued", "downloading", "downloaded", "loading", "loaded", "failed"
]

Status: TypeAlias = Literal["idle", "queued", "downloading", "downloaded", "loading", "ready", "failed"]


class ManagedModel(Struct, frozen=True, kw_only=True):
    """One model, on this machine or not."""

    id: str
    type: ModelType
    backend: str
    """Name of its provider."""
    provider: str
    state: State
    capabilities: Capabilities
    provider_available: bool = True
    is_default: bool = False
    device: str | None = None
    compute_type: str | None = None
    title: str = ""
    description: str = ""
    languages: tuple[str, ...] = ()
    licence: str = ""
    """Of the weights; empty when unknown."""
    size_mb: float | None = None
    """Size of the weights; None when unknown."""
    memory_mb: int | None = None
    """What one copy takes in memory, as its provider says or as it was measured; None when unknown."""
    loaded_at: float | None = None
    """Unix seconds."""
    last_used_at: float | None = None
    """Unix seconds."""
    ttl_remaining: float | None = None
    """Seconds until it is unloaded if nobody asks; None when it is not loaded or stays."""
    progress: float | None = None
    """0 to 1 while it is downloaded."""
    error: ErrorInfo | None = None
    """What the last download or load ended in, if that was an error."""


class ManagedModelList(Struct, frozen=True, kw_only=True):
    models: tuple[ManagedModel, ...]


class ModelProgress(Struct, frozen=True, kw_only=True):
    """How far a model is on its way into memory."""

    id: str
    status: Status
    progress: float
    """0 to 1, of the bytes."""
    bytes_done: int = 0
    bytes_total: int = 0
    """0 when unknown."""
    speed_bps: float = 0.0
    """Bytes a second."""
    eta_s: float | None = None
    error: ErrorInfo | None = None


class ModelUnloaded(Struct, frozen=True, kw_only=True):
    status: Literal["unloaded", "cancelled"]
    model: str


class ModelFile(Struct, frozen=True, kw_only=True):
    name: str
    """Relative to the folder it is kept in."""
    bytes: int


class ModelFiles(Struct, frozen=True, kw_only=True):
    """What of a model lies on this machine."""

    model: str
    provider: str
    complete: bool
    """All that a load needs is here."""
    bytes: int
    files: tuple[ModelFile, ...]


class FilesDeleted(Struct, frozen=True, kw_only=True):
    status: Literal["deleted", "not_found"]
    model: str
    provider: str
    deleted_paths: tuple[str, ...]
    """Relative to the folder they were kept in."""
    freed_bytes: int


class RunningModel(Struct, frozen=True, kw_only=True):
    """A loaded transcriber, in the form of the old ``/api/ps``."""

    model: str
    backend: str
    device: str | None
    compute_type: str | None
    loaded_at: float | None
    last_used_at: float | None
    is_default: bool
    ttl_remaining: float | None


class RunningModelList(Struct, frozen=True, kw_only=True):
    models: tuple[RunningModel, ...]


class LegacyState(Struct, frozen=True, kw_only=True):
    status: Literal["loaded", "unloaded", "downloaded"]
    model: str
