"""What the doctor finds, as data."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from open_speech_core.plugins import PluginRecord
from open_speech_core.types import Kind

Level: TypeAlias = Literal["problem", "slow", "note"]


class Finding(Struct, frozen=True, kw_only=True):
    """One thing worth knowing."""

    level: Level
    """``problem``: something does not work; ``slow``: it works slowly; ``note``: good to know."""
    text: str


class Gpu(Struct, frozen=True, kw_only=True):
    name: str
    memory_mb: int


class Machine(Struct, frozen=True, kw_only=True):
    """What engines can run on."""

    cores: int
    """Cores this process may use, by affinity and cgroup."""
    memory_mb: int
    """Memory that is free or can be freed; 0 when unknown."""
    load: float
    """Processes that wanted a core during the last minute, on average."""
    gpus: tuple[Gpu, ...] = ()


class ModelReport(Struct, frozen=True, kw_only=True):
    """One model that a plugin lists or a package ships."""

    id: str
    provider: str
    on_disk: bool
    size_mb: int
    """Size of the weights; 0 when unknown."""
    memory_mb: int


class KindReport(Struct, frozen=True, kw_only=True):
    """One kind of engine: what is used unless a request says otherwise, and what there is."""

    kind: Kind
    default: ModelReport | None
    setting: str | None
    """The model the settings name; None when they name none."""
    reason: str
    device: str
    voice: str | None = None
    """Default voice of the default model."""
    models: tuple[ModelReport, ...] = ()


class Report(Struct, frozen=True, kw_only=True):
    """All of it."""

    version: str
    python: str
    platform: str
    machine: Machine
    data_dir: str
    free_mb: int
    """Free disk where data is kept."""
    url: str
    """Where a server with these settings listens."""
    plugins: tuple[PluginRecord, ...]
    kinds: tuple[KindReport, ...]
    findings: tuple[Finding, ...] = ()
