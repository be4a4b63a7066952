"""Models that are loaded at start and stay: which are still to come, and which could not be loaded."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from open_speech_core.errors import OpenSpeechError

from .pool import Pool
from .target import Target

log = logging.getLogger(__name__)


class Preloads:
    """Loads models one after another and pins them. Belongs to the event loop."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._coming: dict[str, str] = {}
        self._failed: dict[str, str] = {}

    @property
    def pending(self) -> bool:
        """Some are not loaded yet and have not failed."""
        return bool(self._coming)

    async def run(self, targets: Iterable[Target]) -> None:
        """Load them; a failure is noted, not fatal."""
        wanted = list(targets)
        self._coming |= {target.key: target.spec.load.model.id for target in wanted}
        for target in wanted:
            try:
                await self._pool.load(target)
                self._pool.fleet(target).pinned = True
            except OpenSpeechError as error:
                self.fail(target.spec.load.model.id, error, key=target.key)
            finally:
                self._coming.pop(target.key, None)

    def fail(self, id: str, error: OpenSpeechError, *, key: str = "") -> None:
        """Note that a model could not be loaded at start; without a key, nobody knows it."""
        self._failed[key or id] = f"{id} could not be preloaded: {error.message}"
        log.warning("%s", self._failed[key or id])

    def problems(self) -> list[str]:
        """Say which are still to come, and which failed and have not been loaded since."""
        loaded = {fleet.target.key for fleet in self._pool.fleets() if fleet.replicas}
        coming = [f"{id} is being loaded" for id in self._coming.values()]
        return coming + [why for key, why in self._failed.items() if key not in loaded]
