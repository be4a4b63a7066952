"""Lists of models and voices, and the answers of the small control routes."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class ModelObject(Struct, frozen=True, kw_only=True):
    """One model as OpenAI shows it; ``kind`` and ``provider`` are ours."""

    id: str
    object: Literal["model"] = "model"
    created: int
    """Unix seconds."""
    owned_by: str
    kind: str | None = None
    provider: str | None = None


class ModelList(Struct, frozen=True, kw_only=True):
    object: Literal["list"] = "list"
    data: tuple[ModelObject, ...]


class ModelDeleted(Struct, frozen=True, kw_only=True):
    id: str
    object: Literal["model"] = "model"
    deleted: bool = True


class VoiceObject(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    language: str = "en-us"
    gender: str = "unknown"
    description: str = ""
    provider: str | None = None
    model: str | None = None
    alias: bool = False
    """One of OpenAI's names, spoken by a voice of the model."""


class VoiceList(Struct, frozen=True, kw_only=True):
    """``GET /v1/audio/voices``: no official route; Open WebUI reads ``id`` and ``name``."""

    voices: tuple[VoiceObject, ...]


class AudioModel(Struct, frozen=True, kw_only=True):
    """A model with its state; ``id`` repeats ``model`` because Open WebUI reads that name."""

    id: str
    model: str
    backend: str
    """Name of its provider."""
    device: str | None = None
    status: str
    """``loaded``, ``loading``, ``not_loaded`` or ``failed``."""
    loaded_at: float | None = None
    """Unix seconds."""
    last_used_at: float | None = None
    """Unix seconds."""
    kind: str | None = None


class AudioModelList(Struct, frozen=True, kw_only=True):
    models: tuple[AudioModel, ...]


class ModelChoice(Struct, frozen=True, kw_only=True):
    """Body of load and unload; without a model the default one is meant."""

    model: str | None = None


class ModelState(Struct, frozen=True, kw_only=True):
    """Answer of load and unload."""

    status: Literal["loaded", "unloaded"]
    model: str


class Health(Struct, frozen=True, kw_only=True):
    status: Literal["ok"] = "ok"
    version: str
    models_loaded: int
    """Models in memory, of every kind."""


class Readiness(Struct, frozen=True, kw_only=True):
    status: Literal["ready", "starting", "stopping"]
    version: str
    problems: tuple[str, ...] = ()
    """What keeps it from serving, for people."""
