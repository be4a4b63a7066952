"""Providers and their installs, as JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from open_speech_api.installs.jobs import JobStatus
from open_speech_core.types import Kind


class InstallRequest(Struct, frozen=True, kw_only=True):
    """What to install: a provider by its name, or by one of its models."""

    provider: Annotated[str, Meta(description="A name of the catalogue.")] | None = None
    model: (
        Annotated[str, Meta(description="A model whose provider is wanted; used when `provider` is absent.")] | None
    ) = None
    again: Annotated[
        bool, Meta(description="Make the environment anew even where an install would bring nothing new.")
    ] = False


class InstallStarted(Struct, frozen=True, kw_only=True):
    """An install that runs, or is done already."""

    job_id: str
    status: JobStatus


class InstallJob(Struct, frozen=True, kw_only=True):
    """How far an install is."""

    job_id: str
    provider: str
    version: str
    """What is installed, not what was."""
    status: JobStatus
    step: str
    """What it is at, or was at when it failed."""
    output: str
    """The last 20,000 characters of what its commands said, without paths and secrets."""
    error: str | None = None
    started_at: float
    """Unix seconds."""
    ended_at: float | None = None
    """Unix seconds."""


class ProviderObject(Struct, frozen=True, kw_only=True):
    """A provider that is here or could be."""

    name: str
    title: str
    kinds: tuple[Kind, ...]
    installed: bool
    state: Literal["installed", "installing", "available"]
    where: Literal["server", "own"] | None = None
    """The server's environment, or one of its own."""
    removable: bool = False
    """It was installed by this server, which can remove it."""
    version: str | None = None
    licence: str = ""
    weights_licence: str = ""
    python: str | None = None
    """Python versions it can live under."""
    size_mb: int | None = None
    update: str | None = None
    """Version that an install would bring, where that makes another environment: other code, or other pins."""
    job_id: str | None = None
    """The install that runs."""
    problem: str | None = None
    """What keeps an install from succeeding, as far as can be seen at a glance."""


class ProviderList(Struct, frozen=True, kw_only=True):
    providers: tuple[ProviderObject, ...]


class EffectObject(Struct, frozen=True, kw_only=True):
    """What can be done to speech after it was made."""

    type: str
    title: str
    description: str
    streams: bool
    """It is heard while the speech is still being made."""
    schema: dict[str, Any]
    """JSON Schema of its fields beside ``type``."""


class EffectList(Struct, frozen=True, kw_only=True):
    effects: tuple[EffectObject, ...]


class ProviderRemoved(Struct, frozen=True, kw_only=True):
    status: Literal["removed"]
    provider: str


class PluginObject(Struct, frozen=True, kw_only=True):
    """What became of one plugin."""

    name: str
    distribution: str
    version: str
    where: Literal["server", "own"]
    error: str | None = None


class PluginList(Struct, frozen=True, kw_only=True):
    plugins: tuple[PluginObject, ...]
    conflicts: tuple[str, ...] = ()
