"""What is wrong, what will be slow, and why. Each rule looks at one thing."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

from open_speech_api.security.hosts import is_loopback
from open_speech_api.settings import Settings
from open_speech_core.errors import ModelNotFound
from open_speech_core.registry import Registry
from open_speech_core.types import Kind

from .report import Finding, KindReport, Level, Report

TITLES: dict[Kind, str] = {
    "transcriber": "speech to text",
    "synthesizer": "text to speech",
    "detector": "finding speech",
    "diarizer": "telling speakers apart",
    "processor": "processing audio",
}
LARGE_MB = 600
"""Weights above this are slower than real time on a few CPU cores (Whisper medium and above)."""
SPARE_MB = 500
"""Free disk below this is too little for uploads, whatever the models take."""


def advise(report: Report, settings: Settings, registry: Registry) -> Iterator[Finding]:
    """Apply every rule, problems first."""
    found = [
        *_plugins(report),
        *_kinds(report, settings),
        *_names(settings, registry),
        *_hardware(report, settings),
        *_disk(report),
        *_openness(settings),
        *(_note(conflict) for conflict in registry.conflicts),
    ]
    order: tuple[Level, ...] = ("problem", "slow", "note")
    yield from sorted(found, key=lambda finding: order.index(finding.level))


def _problem(text: str) -> Finding:
    return Finding(level="problem", text=text)


def _slow(text: str) -> Finding:
    return Finding(level="slow", text=text)


def _note(text: str) -> Finding:
    return Finding(level="note", text=text)


def _plugins(report: Report) -> Iterator[Finding]:
    for plugin in report.plugins:
        if plugin.error is not None:
            yield _problem(f"plugin {plugin.name} ({plugin.distribution}) is not in use: {plugin.error}")


def _kinds(report: Report, settings: Settings) -> Iterator[Finding]:
    for part in report.kinds:
        if part.kind in ("transcriber", "synthesizer"):
            if part.kind == "transcriber" or settings.tts.enabled:
                yield from _default(part, settings, report)
        elif part.kind == "detector" and settings.vad.enabled and not part.models:
            yield _slow(
                "no detector is installed: silence goes through recognition too, and recordings are cut by "
                "loudness. Install open-speech-silero, or set STT_VAD_ENABLED=false to be told no more"
            )
        elif part.kind == "diarizer" and not part.models:
            yield _note("no diarizer is installed: who speaks cannot be told")


def _default(part: KindReport, settings: Settings, report: Report) -> Iterator[Finding]:
    title, model = TITLES[part.kind], part.default
    variable = "STT_MODEL" if part.kind == "transcriber" else "TTS_MODEL"
    if model is None and part.setting is not None:
        yield _problem(f"{variable} = {part.setting!r}: no installed plugin knows this model")
        return
    if model is None:
        plugin = "open-speech-whisper" if part.kind == "transcriber" else "open-speech-piper"
        yield _problem(f"{title} does not work: no plugin for it is installed, such as {plugin}")
        return
    if not model.on_disk:
        yield _missing(model.id, model.size_mb, settings.server.auto_download)
    if part.device == "cpu" and max(model.size_mb, model.memory_mb) > LARGE_MB:
        yield _slow(f"{title}: {model.id} is large for a CPU and may take longer than the audio lasts")
    if part.device.startswith("cuda") and not report.machine.gpus:
        yield _problem(f"{title}: device {part.device} is set, and no NVIDIA GPU was found: loading will fail")
    if part.device == "cpu" and 0 < report.machine.memory_mb < model.memory_mb:
        yield _problem(
            f"{title}: {model.id} needs about {model.memory_mb} MB of memory, {report.machine.memory_mb} MB are free"
        )
    if part.voice is not None and settings.tts.voice not in (None, part.voice):
        yield _note(f"TTS_VOICE = {settings.tts.voice!r}: {model.id} has no such voice; {part.voice} speaks")


def _missing(id: str, size_mb: int, auto_download: bool) -> Finding:
    size = f" ({size_mb} MB)" if size_mb else ""
    command = f"open-speech models download {id}"
    if auto_download:
        return _slow(f"the first request waits for the weights of {id}{size}. Fetch them now: {command}")
    return _problem(f"the weights of {id}{size} are not here and OS_AUTO_DOWNLOAD is off. Fetch them: {command}")


def _names(settings: Settings, registry: Registry) -> Iterator[Finding]:
    preloaded: dict[Kind, tuple[str, tuple[str, ...]]] = {
        "transcriber": ("STT_PRELOAD_MODELS", settings.stt.preload_models),
        "synthesizer": ("TTS_PRELOAD_MODELS", settings.tts.preload_models),
    }
    for kind, (variable, ids) in preloaded.items():
        for id in ids:
            try:
                registry.resolve(kind, id)
            except ModelNotFound:
                yield _problem(f"{variable}: no installed plugin knows the model {id!r}")


def _hardware(report: Report, settings: Settings) -> Iterator[Finding]:
    machine, threads = report.machine, settings.server.worker_threads
    cores = settings.server.cores or machine.cores
    if not machine.gpus:
        yield _note("no NVIDIA GPU was found: models run on the CPU")
    if machine.cores == 1:
        yield _slow("there is one core: a request waits while another runs")
    if cores > machine.cores:
        yield _slow(f"OS_CORES = {cores}, but only {machine.cores} may be used: engines will disturb each other")
    if threads is not None and threads > cores:
        yield _slow(f"OS_WORKER_THREADS = {threads}, but there are {cores} cores: threads will wait for each other")
    if machine.load > machine.cores:
        yield _slow(f"the machine is busy: {machine.load} processes want its {machine.cores} cores just now")
    if settings.server.placement == "inline":
        yield _slow("OS_PLACEMENT = inline: engines share the server's process, so their thread pools are not bounded")
    if _has("torch") and not machine.gpus and "+cpu" not in _version("torch"):
        yield _note("PyTorch with CUDA is installed on a machine without a GPU: its CPU build takes far less disk")


def _disk(report: Report) -> Iterator[Finding]:
    wanted = sum(part.default.size_mb for part in report.kinds if part.default and not part.default.on_disk)
    if report.free_mb < wanted + SPARE_MB:
        yield _problem(
            f"{report.free_mb} MB of disk are free in {report.data_dir}; "
            f"models and uploads need about {wanted + SPARE_MB} MB"
        )


def _openness(settings: Settings) -> Iterator[Finding]:
    if not settings.server.api_keys and not is_loopback(settings.server.host):
        yield _note(f"OS_HOST = {settings.server.host} without OS_API_KEY: whoever reaches the server can use it")


def _has(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _version(name: str) -> str:
    return distribution(name).version
