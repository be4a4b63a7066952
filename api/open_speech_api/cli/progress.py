"""What a person sees while waiting: on stderr, and only when it is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

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
