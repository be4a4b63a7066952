"""A model as the pool sees it, and the pool's bounds."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from open_speech_core.types import CANCEL_S, EngineSpec


class Target(Struct, frozen=True, kw_only=True):
    """A model as the pool sees it: all it takes to run a replica."""

    key: str
    """Unique over kinds and providers."""
    spec: EngineSpec
    max_replicas: int = 1
    cancel_s: float = CANCEL_S
    """The engine's promise: free this long after a cancel."""
    interpreter: str | None = None
    environment: Mapping[str, str] = {}
    """Further variables of its worker."""
    inline: bool = False
    download: bool = False
    """The weights are fetched before the first load."""
    counted: bool = True
    """Counts as a loaded model, and rests when it dies too often. Media workers do neither: what ends one is a
    stranger's file, and the next file deserves a new one."""


class Policy(Struct, frozen=True, kw_only=True):
    """Bounds of the pool."""

    queue_max: int = 64
    """Callers of one model that may wait."""
    queue_wait_s: float = 120.0
    """Longest wait for a first lease."""
    ttl_s: float = 300.0
    """Idle time after which a replica is ended; 0 is never."""
    max_loaded: int = 0
    """Models in memory at once; 0 is any number."""
