"""An observer that logs slow requests."""

from __future__ import annotations

import logging

from open_speech_core.hookspecs import hookimpl
from open_speech_core.types import Event

log = logging.getLogger(__name__)
SLOW_S = 10.0


@hookimpl
def open_speech_observe(event: Event) -> None:
    if event.seconds > SLOW_S:
        log.warning("%s took %.1f s with %s (%s)", event.route, event.seconds, event.model, event.request_id)
