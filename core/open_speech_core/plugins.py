"""Discovery: our own guarded loop over entry points, and over modules given by name.

A plugin that fails to import, misspells a hook or wants another API is recorded with the reason and
skipped; it cannot stop the server.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import Distribution, EntryPoint, distributions
from types import ModuleType
from typing import Any

import pluggy
from msgspec import Struct, structs

from . import hookspecs
from .errors import PluginError
from .hookspecs import PROJECT
from .options import RESERVED_FIELDS, option_problems
from .providers import AnyProvider, Provider
from .types import API_VERSION, KINDS, Kind, ModelSource

log = logging.getLogger(__name__)

HOOKS: dict[Kind, str] = {kind: f"open_speech_register_{kind}s" for kind in KINDS}


class PluginRecord(Struct, frozen=True, kw_only=True):
    """What became of one plugin, for ``open-speech plugins`` and ``/api/plugins``."""

    name: str
    """Entry-point name."""
    module: str
    """Module that registers it."""
    distribution: str
    version: str
    error: str | None = None
    """Why it was skipped; None when it is in use."""
    interpreter: str | None = None
    """Python of the environment it lives in; None for this one."""


class FoundProvider(Struct, frozen=True, kw_only=True):
    """A provider class and the plugin it came with."""

    plugin: PluginRecord
    cls: type[AnyProvider]


class Discovery(Struct, frozen=True, kw_only=True):
    """All that was found, good and bad."""

    plugins: tuple[PluginRecord, ...] = ()
    providers: tuple[FoundProvider, ...] = ()
    sources: tuple[ModelSource, ...] = ()
    manager: pluggy.PluginManager


def discover(modules: Iterable[str] | None = None) -> Discovery:
    """Find the installed plugins, or exactly ``modules`` where given (workers and tests)."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    plugins: list[PluginRecord] = []
    providers: list[FoundProvider] = []
    sources: list[ModelSource] = []
    for record in _installed() if modules is None else map(_record, modules):
        try:
            module = _import(record)
            found = _register(manager, record, module)
            shipped = _sources(module)
        except PluginError as error:
            log.warning("plugin %s is skipped: %s", record.name, error.message)
            plugins.append(structs.replace(record, error=error.message))
            if (module_ := manager.get_plugin(record.name)) is not None:
                manager.unregister(module_)
            continue
        plugins.append(record)
        providers += [FoundProvider(plugin=record, cls=cls) for cls in found]
        sources += shipped
    return Discovery(plugins=tuple(plugins), providers=tuple(providers), sources=tuple(sources), manager=manager)


def _installed() -> list[PluginRecord]:
    """One record an entry point, by distribution name; a distribution seen twice on the path counts once."""
    found: dict[tuple[str, str], PluginRecord] = {}
    for distribution in distributions():
        for entry in distribution.entry_points:
            if entry.group == PROJECT:
                record = _entry_record(distribution, entry)
                found.setdefault((record.distribution, record.name), record)
    return [found[key] for key in sorted(found)]


def _entry_record(distribution: Distribution, entry: EntryPoint) -> PluginRecord:
    return PluginRecord(
        name=entry.name,
        module=entry.value,
        distribution=distribution.metadata["Name"],
        version=distribution.version,
    )


def _record(module: str) -> PluginRecord:
    """Describe a module given by name, from its entry point if it has one."""
    for record in _installed():
        if record.module == module:
            return record
    return PluginRecord(name=module, module=module, distribution=module.partition(".")[0], version="0")


def _import(record: PluginRecord) -> ModuleType:
    try:
        return import_module(record.module)
    except (Exception, SystemExit) as error:  # fence: a stranger's module body
        log.debug("plugin %s", record.name, exc_info=True)
        raise PluginError(f"import failed: {type(error).__name__}: {error}") from error


def _register(manager: pluggy.PluginManager, record: PluginRecord, module: ModuleType) -> list[type[AnyProvider]]:
    misspelt = sorted(
        name
        for name, value in vars(module).items()
        if name.startswith(f"{PROJECT}_") and inspect.isfunction(value) and not hasattr(hookspecs, name)
    )
    if misspelt:
        raise PluginError(f"unknown hook {misspelt[0]!r}; known hooks: {', '.join(sorted(_hook_names()))}")
    bare = sorted(
        name for name in _hook_names() if name in vars(module) and not hasattr(vars(module)[name], f"{PROJECT}_impl")
    )
    if bare:
        raise PluginError(f"{bare[0]} is not marked with @hookimpl")
    try:
        manager.register(module, record.name)
        manager.check_pending()
    except (pluggy.PluginValidationError, ValueError) as error:
        raise PluginError(f"hooks do not fit: {error}") from error
    found: list[type[AnyProvider]] = []
    for kind, hook in HOOKS.items():
        found += [_check(cls, kind) for cls in _call(module, hook)]
    return found


def _hook_names() -> list[str]:
    return [name for name in vars(hookspecs) if name.startswith(f"{PROJECT}_")]


def _call(module: ModuleType, hook: str) -> list[Any]:
    function = getattr(module, hook, None)
    if function is None:
        return []
    try:
        return list(function())
    except Exception as error:  # fence: a stranger's hook
        log.debug("hook %s", hook, exc_info=True)
        raise PluginError(f"{hook} failed: {type(error).__name__}: {error}") from error


def _check(cls: Any, kind: Kind) -> type[AnyProvider]:
    if not _is_provider_class(cls):
        raise PluginError(f"{HOOKS[kind]} gave {cls!r}, which is not a Provider class")
    provider: type[AnyProvider] = cls
    api = provider.api
    if api[0] != API_VERSION[0]:
        raise PluginError(
            f"{provider.__name__} is written for API {api[0]}.{api[1]}; this core has "
            f"{API_VERSION[0]}.{API_VERSION[1]}. It wants open-speech-core {api[0]}.x"
        )
    if inspect.isabstract(provider):
        missing = ", ".join(sorted(provider.__abstractmethods__))
        raise PluginError(f"{provider.__name__} lacks {missing}")
    if getattr(provider, "kind", None) != kind or not hasattr(provider, "info"):
        raise PluginError(f"{provider.__name__} is no {kind}, or has no info")
    for struct, reserved in ((provider.Options, ()), (provider.RequestOptions, RESERVED_FIELDS)):
        if problems := option_problems(struct, reserved):
            raise PluginError(f"options of {provider.__name__}: {'; '.join(problems)}")
    return provider


def _is_provider_class(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Provider)


def _sources(module: ModuleType) -> list[ModelSource]:
    sources = _call(module, "open_speech_model_sources")
    for source in sources:
        if not isinstance(source, ModelSource):
            raise PluginError(f"open_speech_model_sources gave {source!r}, which is not a ModelSource")
    return sources
