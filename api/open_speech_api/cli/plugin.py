"""``open-speech plugin``: for those who write one: a folder to begin with, and the laws it must keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from open_speech_core.testing import Case, Report
    from open_speech_core.types import ModelSource

CALLS = 200
KINDS = ("synthesizer", "transcriber", "detector", "diarizer", "processor")


@click.group(short_help="Begin a plugin, and check one against the laws.")
def plugin() -> None:
    """Begin a plugin of your own, and check it against the laws of the contract."""


@plugin.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default=KINDS[0], show_default=True, help="What it is to do.")
@click.option("--into", type=click.Path(file_okay=False), default=".", help="Folder to write it into.")
def new(name: str, kind: str, into: str) -> None:
    """Write the folder of a plugin NAME that works and keeps the laws, to be made into yours."""
    from pathlib import Path
    from typing import cast

    from open_speech_api.scaffold import write_plugin
    from open_speech_core.errors import InvalidRequest
    from open_speech_core.types import Kind

    try:
        files = write_plugin(Path(into) / name, name, cast("Kind", kind))
    except InvalidRequest as error:
        raise click.ClickException(error.message) from None
    for file in files:
        click.echo(file)
    click.echo(f"\nNext: pip install -e {Path(into) / name} && open-speech plugin check {name}", err=True)


@plugin.command()
@click.argument("name")
@click.option("--model", "models", multiple=True, metavar="ID", help="Only this model; may be repeated.")
@click.option(
    "--calls", type=click.IntRange(0), default=CALLS, show_default=True, help="Calls over which memory may not grow."
)
def check(name: str, models: tuple[str, ...], calls: int) -> None:
    """Check the installed plugin NAME against every law: shapes, times, threads, cancelling, memory, its end.

    NAME is its entry point or its module. Models whose weights are not on this machine are left out. The exit code is
    1 when a law is broken.
    """
    from open_speech_core.testing import Violation, check_plugin

    module = _module(name)
    home, sources = _here()
    try:
        _say(check_plugin(module, home=home))
        for case, reason in _cases(module, home, sources):
            if models and case.model.id not in models:
                continue
            if reason:
                click.echo(f"-  {case}: {reason}")
            else:
                _say(case.check(calls=calls))
    except Violation as broken:
        click.echo(f"✗  {broken}")
        raise click.exceptions.Exit(1) from None


def _module(name: str) -> str:
    """Find the module that a plugin's name stands for: an entry point's, else itself."""
    from importlib.metadata import entry_points
    from importlib.util import find_spec

    for entry in entry_points(group="open_speech", name=name):
        return entry.value
    if name.isidentifier() and find_spec(name) is not None:
        return name
    raise click.ClickException(f"no plugin {name!r} is installed; `open-speech plugins` lists them")


def _here() -> tuple[Path, tuple[ModelSource, ...]]:
    """Give where models lie, and the weights that installed packages ship."""
    from open_speech_core.plugins import discover

    from .installed import own_settings

    return own_settings().server.data_root / "models", discover().sources


def _cases(module: str, home: Path, sources: tuple[ModelSource, ...]) -> Iterator[tuple[Case, str]]:
    """Give each model, and why it cannot be checked."""
    from open_speech_core.testing import every_case

    for case, ready in every_case(module, sources=sources, home=home):
        yield case, "" if ready else "its weights are not on this machine"


def _say(report: Report) -> None:
    figures = [f"{len(report.kept)} laws kept"]
    if report.slowest_step_ms:
        figures.append(f"slowest step {report.slowest_step_ms:.0f} ms")
    if report.slowest_cancel_ms:
        figures.append(f"free {report.slowest_cancel_ms:.0f} ms after a cancel, promises {report.promise_s:.2g} s")
    if report.memory_kb is not None:
        figures.append(f"{max(report.memory_kb, 0):.1f} KB a call")
    click.echo(f"✓  {report.subject}: {'; '.join(figures)}")
    for skipped in report.skipped:
        click.echo(f"   not tried: {skipped}")
