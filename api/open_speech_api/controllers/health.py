"""Is the server there, and may it be sent work."""

from __future__ import annotations

from litestar import Controller, Response, get
from litestar.di import NamedDependency

from open_speech_api.services import Services
from open_speech_api.wire.models import Health, Readiness


class HealthController(Controller):
    """Open routes that touch nothing that could wait."""

    path = "/health"
    tags = ("Server",)

    @get("/", summary="Say that the server lives")
    async def health(self, services: NamedDependency[Services]) -> Health:
        """Answer at once, whatever runs."""
        return Health(version=services.version, models_loaded=services.pool.loaded())

    @get("/ready", summary="Say whether the server can serve")
    async def ready(self, services: NamedDependency[Services]) -> Response[Readiness]:
        """Answer 503 while models are preloaded, when the server stops, or when nothing could serve a request.

        ``problems`` also names models that could not be preloaded; the server serves without them.
        """
        unserved = [
            choice.reason
            for kind in ("transcriber", "synthesizer")
            if (choice := services.registry.default(kind, None)).id is None
        ]
        closing = services.pool.closing
        ready = not services.preloads.pending and not closing and len(unserved) < 2
        answer = Readiness(
            status="ready" if ready else "stopping" if closing else "starting",
            version=services.version,
            problems=(*unserved, *services.preloads.problems()),
        )
        return Response(answer, status_code=200 if ready else 503)
