"""From names on the wire to a provider in this process: the worker's side of discovery."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import msgspec

from open_speech_core.errors import LoadFailed, PluginError
from open_speech_core.options import OptionProblem, decode_request_options, from_environment, schema_of
from open_speech_core.plugins import discover
from open_speech_core.providers import AnyProvider, Context, Engine
from open_speech_core.types import Artifacts, Description, EngineSpec, LoadSpec, Model

T = TypeVar("T")


class Made(Protocol):
    """What the runner needs of a provider."""

    def load(self, spec: LoadSpec) -> Engine: ...
    def download(self, model: Model, context: Context) -> Artifacts: ...
    def with_options(self, request: T) -> T: ...


class PluginProvider:
    """A provider of a plugin, and its own reading of request options."""

    def __init__(self, provider: AnyProvider) -> None:
        self.provider = provider

    def load(self, spec: LoadSpec) -> Engine:
        return self.provider.load(spec)

    def download(self, model: Model, context: Context) -> Artifacts:
        self.provider.download(model, context)
        return self.provider.artifacts(model)

    def with_options(self, request: T) -> T:
        """Turn the options, a map on the wire, into the provider's Struct."""
        sent = getattr(request, "options", None)
        if isinstance(sent, self.provider.RequestOptions):
            return request
        options = decode_request_options(self.provider.RequestOptions, sent or {}, strict=True)
        return msgspec.structs.replace(request, options=options)  # type: ignore[type-var]


class BuiltIn:
    """An engine that is part of the server (media): a module with ``load(spec)``, no options."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def load(self, spec: LoadSpec) -> Engine:
        return cast("Engine", self._module.load(spec))

    def download(self, model: Model, context: Context) -> Artifacts:
        raise PluginError(f"{model.id} has nothing to download")

    def with_options(self, request: T) -> T:
        return request


def make_provider(spec: EngineSpec) -> Made:
    """Import the plugin and make the named provider.

    Raises:
        LoadFailed: the plugin cannot be used here, has no such provider, or its options are bad.
    """
    if spec.kind == "media":
        return BuiltIn(import_module(spec.plugin))
    discovery = discover([spec.plugin])
    for plugin in discovery.plugins:
        if plugin.error is not None:
            raise LoadFailed(f"plugin {plugin.name!r} cannot be used: {plugin.error}")
    for found in discovery.providers:
        if found.cls.kind == spec.kind and found.cls.info.name == spec.provider:
            return PluginProvider(instantiate(found.cls, Path(spec.load.home), dict(os.environ)))
    raise LoadFailed(f"plugin {spec.plugin!r} has no {spec.kind} called {spec.provider!r}")


def instantiate(cls: type[AnyProvider], home: Path, environ: dict[str, str]) -> AnyProvider:
    """Make a provider with options from the environment. Raises ``LoadFailed`` naming all bad variables."""
    problems: list[OptionProblem] = []
    options = from_environment(cls.Options, cls.info.env_prefix, environ, problems)
    if problems:
        said = "; ".join(f"{problem.variable}={problem.value!r}: {problem.reason}" for problem in problems)
        raise LoadFailed(f"settings of {cls.info.title}: {said}")
    return cls(options, home)


def describe(plugin: str, home: str = "") -> Iterator[Description]:
    """Describe every provider of a plugin, and what lies in ``home``. Raises ``PluginError`` when it cannot be used."""
    discovery = discover([plugin])
    for record in discovery.plugins:
        if record.error is not None:
            raise PluginError(f"plugin {record.name!r} cannot be used: {record.error}")
    for found in discovery.providers:
        provider = instantiate(found.cls, Path(home) / found.cls.info.name if home else Path(), dict(os.environ))
        models = (*provider.models(), *(provider.local() if home else ()))
        yield Description(
            api=found.cls.api,
            plugin=plugin,
            distribution=found.plugin.distribution,
            version=found.plugin.version,
            kind=found.cls.kind,
            info=provider.info,
            capabilities=provider.capabilities,
            models=models,
            voices={model.id: provider.voices(model) for model in models},
            aliases=dict(provider.aliases),
            openai_voices=dict(provider.openai_voices),
            sources=discovery.sources,
            artifacts={model.id: provider.artifacts(model) for model in models} if home else {},
            options_schema=schema_of(found.cls.Options),
            request_options_schema=schema_of(found.cls.RequestOptions),
        )
