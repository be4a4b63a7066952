"""The report as text."""

from __future__ import annotations

from collections.abc import Iterator

from .advice import TITLES
from .report import KindReport, ModelReport, Report

MARKS = {"problem": "✗", "slow": "!", "note": "·"}
LISTED = 12
"""Models that are shown of one kind; the rest is counted."""


def render(report: Report) -> str:
    """Write the report for a person."""
    lines = [*_machine(report), "", *_plugins(report), ""]
    for part in report.kinds:
        if part.models or part.kind in ("transcriber", "synthesizer"):
            lines += [*_kind(part), ""]
    lines += _findings(report)
    return "\n".join(lines) + "\n"


def _machine(report: Report) -> Iterator[str]:
    machine = report.machine
    gpus = ", ".join(f"{gpu.name} ({gpu.memory_mb} MB)" for gpu in machine.gpus) or "none"
    memory = f", {machine.memory_mb} MB of memory free" if machine.memory_mb else ""
    yield f"Open Speech {report.version}, Python {report.python}, {report.platform}"
    yield f"  server   {report.url}"
    yield f"  cores    {machine.cores}{memory}"
    yield f"  GPU      {gpus}"
    yield f"  data     {report.data_dir}, {report.free_mb} MB free"


def _plugins(report: Report) -> Iterator[str]:
    yield "Plugins"
    for plugin in report.plugins:
        state = f"✗ {plugin.error}" if plugin.error else "✓"
        yield f"  {plugin.distribution} {plugin.version}  {state}"
    if not report.plugins:
        yield "  none"


def _kind(part: KindReport) -> Iterator[str]:
    yield TITLES[part.kind].capitalize()
    if part.kind == "processor":
        yield "  used where a request or a setting names them"
    elif part.default is None:
        yield f"  default  none: {part.reason}"
    else:
        voice = f", voice {part.voice}" if part.voice else ""
        yield f"  default  {part.default.id}{voice} on {part.device}: {part.reason}"
    ready = [model for model in part.models if model.on_disk]
    others = [model for model in part.models if not model.on_disk]
    for model in ready[:LISTED]:
        yield f"  ✓ {_model(model)}"
    if len(ready) > LISTED:
        yield f"  and {len(ready) - LISTED} more are here"
    if others:
        yield f"  {len(others)} more can be fetched; `open-speech models --all` lists them"


def _model(model: ModelReport) -> str:
    size = f", {model.size_mb} MB" if model.size_mb else ""
    return f"{model.id} ({model.provider}{size})"


def _findings(report: Report) -> Iterator[str]:
    if not report.findings:
        yield "All is well."
        return
    yield "Findings (✗ does not work, ! slow, · good to know)"
    for finding in report.findings:
        yield f"  {MARKS[finding.level]} {finding.text}"
