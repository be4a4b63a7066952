"""What a person sees while waiting: on stderr, and only when it is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import click

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

    from open_speech_api.wire.lifecycle import ModelProgress

Say = Callable[[str], None]


def _nobody(_: str) -> None:
    """Nobody watches."""


@contextmanager
def spinner(text: str) -> Iterator[Say]:
    """Turn a spinner beside ``text``; the function that is given changes the text."""
    if not sys.stderr.isatty():
        yield _nobody
        return
    from rich.console import Console

    with Console(stderr=True).status(text) as status:
        yield status.update


@contextmanager
def upload(file: BinaryIO, size: int, then: str) -> Iterator[tuple[BinaryIO, Callable[[], None]]]:
    """Show how much of ``file`` has been read, and ``then`` once all has.

    Gives the file to read and a function that ends the show early.
    """
    if not sys.stderr.isatty():
        yield file, lambda: None
        return
    with _progress(f"Uploading {{task.percentage:.0f}} % of {size / 1e6:.1f} MB", then) as progress:
        yield progress.wrap_file(file, total=size, description=""), progress.stop


@contextmanager
def counter(title: str) -> Iterator[Callable[[float, float], None]]:
    """Show how much is done of how much, in bytes."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with _progress(f"{title} {{task.percentage:.0f}} %", f"{title}: done") as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)


@contextmanager
def model_bar(id: str) -> Iterator[Callable[[ModelProgress], None]]:
    """Show how far a model is: bytes, speed and time left while it is fetched, then that it is loaded."""
    if not sys.stderr.isatty():
        yield lambda now: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    with bar:
        task = bar.add_task(id, total=None)

        def show(now: ModelProgress) -> None:
            total = now.bytes_total if now.status == "downloading" and now.bytes_total else None
            bar.update(task, description=f"{id}: {now.status}", completed=now.bytes_done, total=total)

        yield show


class Steps:
    """Shows the present step and its bytes; without a terminal, only what was said."""

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar
        self._text = ""
        self._task = bar.add_task("", total=None) if bar is not None else None

    def say(self, line: str) -> None:
        if self._bar is None:
            click.echo(line, err=True)
        else:
            self._bar.console.print(line, markup=False, highlight=False)

    def step(self, text: str) -> None:
        self._text = text
        self._update(text)

    def count(self, done: float, total: float) -> None:
        share = f" {done / total:.0%} of {total / 1e6:.1f} MB" if total else f" {done / 1e6:.1f} MB"
        self._update(self._text + share)

    def _update(self, text: str) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=text)


@contextmanager
def steps() -> Iterator[Steps]:
    """Show what long work is doing, step by step."""
    if not sys.stderr.isatty():
        yield Steps(None)
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Steps(bar)


def _progress(before: str, after: str) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TimeElapsedColumn

    columns = (SpinnerColumn(finished_text="..."), _stage(before, after), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _stage(before: str, after: str) -> ProgressColumn:
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Stage(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(after if task.finished else before.format(task=task))

    return Stage()
