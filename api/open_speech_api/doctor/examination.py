"""Gathering the report. Nothing is loaded, and nothing is written."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version

import msgspec

from open_speech_api.security.tls import wants_tls
from open_speech_api.settings import Settings, SettingsError, canonical_environ, read_settings
from open_speech_core.errors import ModelNotFound, VoiceNotFound
from open_speech_core.plugins import discover
from open_speech_core.registry import Registry, Resolved, build_registry
from open_speech_core.types import KINDS, Kind

from .advice import advise
from .machine import find_machine, free_disk_mb
from .report import Finding, KindReport, Machine, ModelReport, Report


def examine(environ: Mapping[str, str]) -> Report:
    """Look at the installation that a server with ``environ`` would have."""
    settings, first = _settings(environ)
    registry = build_registry(
        discover(),
        environ=canonical_environ(environ),
        data_dir=settings.server.data_root,
        providers_dir=settings.server.folder("providers"),
    )
    machine = find_machine()
    report = Report(
        version=version("open-speech-api"),
        python=platform.python_version(),
        platform=platform.platform(terse=True),
        machine=machine,
        data_dir=str(settings.server.data_root),
        free_mb=free_disk_mb(settings.server.data_root),
        url=_url(settings),
        plugins=registry.plugins,
        kinds=tuple(_kind(registry, kind, settings, machine) for kind in KINDS),
    )
    findings = (*first, *advise(report, settings, registry))
    return msgspec.structs.replace(report, findings=findings)


def _settings(environ: Mapping[str, str]) -> tuple[Settings, list[Finding]]:
    """Read the settings; bad ones are reported, and the rest is examined with the defaults."""
    try:
        settings, warnings = read_settings(environ)
    except SettingsError as error:
        bad = [Finding(level="problem", text=line.strip()) for line in str(error).splitlines()[1:]]
        note = "the server will not start with these settings; what follows holds for the defaults"
        return Settings(), [*bad, Finding(level="note", text=note)]
    return settings, [Finding(level="note", text=warning) for warning in warnings]


def _url(settings: Settings) -> str:
    scheme = "https" if wants_tls(settings.server) else "http"
    host = settings.server.host or "127.0.0.1"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.server.port}"


def _kind(registry: Registry, kind: Kind, settings: Settings, machine: Machine) -> KindReport:
    settings_by_kind = {
        "transcriber": settings.stt.model,
        "synthesizer": settings.tts.model,
        "diarizer": settings.stt.diarize_model,
    }
    setting = settings_by_kind.get(kind)
    choice = registry.default(kind, setting)
    try:
        default = registry.resolve(kind, choice.id, setting=setting) if choice.id else None
        reason = choice.reason
    except ModelNotFound:
        default, reason = None, "no installed plugin knows the model that is set"
    return KindReport(
        kind=kind,
        default=_model(registry, default) if default else None,
        setting=setting,
        reason=reason,
        device=_device(kind, settings, machine),
        voice=_voice(registry, default, settings) if default and kind == "synthesizer" else None,
        models=tuple(_model(registry, found) for found in registry.models(kind)),
    )


def _model(registry: Registry, found: Resolved) -> ModelReport:
    return ModelReport(
        id=found.id,
        provider=found.provider.info.name,
        on_disk=registry.on_disk(found),
        size_mb=round(found.model.bytes / 1e6),
        memory_mb=found.model.memory_mb,
    )


def _voice(registry: Registry, found: Resolved, settings: Settings) -> str | None:
    try:
        return registry.voice(found, None, settings.tts.voice) or None
    except VoiceNotFound:
        return None


def _device(kind: Kind, settings: Settings, machine: Machine) -> str:
    """Say where a kind runs: what is set, else a GPU if there is one."""
    asked = settings.stt.device
    if kind == "synthesizer" and settings.tts.device is not None:
        asked = settings.tts.device
    if kind not in ("transcriber", "synthesizer", "diarizer"):
        return "cpu"
    if asked is None or asked == "auto":
        return "cuda" if machine.gpus else "cpu"
    return asked
