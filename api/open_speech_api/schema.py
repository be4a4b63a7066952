"""Our own OpenAPI document, rebuilt when the registry's generation changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Litestar
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.types import ControllerRouterHandler

from open_speech_api.bodies import add_bodies
from open_speech_api.wire.openapi import ProviderOptions, merged
from open_speech_core.options import schema_of
from open_speech_core.registry import Registry


class Schema:
    """Builds the document on first use; safe to ask from any thread."""

    def __init__(self, handlers: Sequence[ControllerRouterHandler], registry: Registry, version: str) -> None:
        self._handlers = handlers
        self._registry = registry
        self._version = version
        self._built: tuple[int, bytes] = (0, b"")

    def document(self) -> bytes:
        """Give the document as JSON."""
        generation, document = self._built
        if generation != self._registry.generation:
            generation = self._registry.generation
            document = msgspec.json.encode(merged(self._base(), self._options()))
            self._built = (generation, document)
        return document

    def _options(self) -> list[ProviderOptions]:
        return [
            ProviderOptions(provider=provider.info.name, kind=provider.kind, schema=schema_of(provider.RequestOptions))
            for provider in self._registry.providers
        ]

    def _base(self) -> dict[str, Any]:
        config = OpenAPIConfig(
            title="Open Speech", version=self._version, description=DESCRIPTION, use_handler_docstrings=True
        )
        # An application of its own: the serving one has no routes for schemas but ours. What it injects is
        # never made; without a name here it would be taken for a parameter of the query.
        injected = {name: Provide(lambda: None, sync_to_thread=False) for name in INJECTED}
        app = Litestar(self._handlers, openapi_config=config, dependencies=injected)
        document = app.openapi_schema.to_schema()
        add_bodies(document)
        return document


INJECTED = ("services", "schema")

DESCRIPTION = (
    "Speech to text and text to speech over OpenAI's API. Every operation needs `Authorization: Bearer KEY` "
    "once `OS_API_KEY` is set."
)
