"""``open-speech transcribe``: a recording into text."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from .connection import check, connected, connection_options
from .progress import upload

if TYPE_CHECKING:
    import httpx

PATH = "/v1/audio/transcriptions"
FORMATS = ("text", "json", "verbose_json", "diarized_json", "srt", "vtt", "rttm")


@click.command(short_help="Turn a recording into text.")
@click.argument("file", type=click.File("rb"))
@click.option("--model", metavar="ID", help="Model to use. Default: the server's.")
@click.option("--language", metavar="CODE", help="Language that is spoken, such as en. Default: found out.")
@click.option("--prompt", metavar="TEXT", help="Words to expect, such as names.")
@click.option("--format", "format_", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--stream", is_flag=True, help="Print text as it is recognised.")
@connection_options
def transcribe(
    file: BinaryIO,
    model: str | None,
    language: str | None,
    prompt: str | None,
    format_: str,
    stream: bool,
    url: str | None,
    api_key: str | None,
    insecure: bool,
) -> None:
    """Print what is said in FILE, an audio or video file, or - for standard input."""
    if stream and format_ != "text":
        raise click.UsageError(f"--stream prints text as it comes; it cannot make {format_}")
    fields = {"model": model, "language": language, "prompt": prompt, "response_format": format_}
    if stream:
        fields |= {"response_format": "json", "stream": "true"}
    form = {name: value for name, value in fields.items() if value is not None}
    with (
        _seekable(file) as (audio, size, name),
        connected(url, api_key, insecure) as client,
        upload(audio, size, then="Transcribing") as (read, end),
        client.stream("POST", PATH, data=form, files={"file": (name, read)}) as response,
    ):
        check(response)
        _show(response, end)


@contextmanager
def _seekable(file: BinaryIO) -> Iterator[tuple[BinaryIO, int, str]]:
    """Give a file whose size is known, its size and its name; a pipe is first written to a temporary file."""
    if file.seekable() and Path(file.name).is_file():
        yield file, _checked_size(os.fstat(file.fileno()).st_size, file.name), Path(file.name).name
        return
    if file.isatty():
        raise click.UsageError("nothing is piped in; give the name of a file, or pipe one in")
    with tempfile.TemporaryFile() as whole:
        shutil.copyfileobj(file, whole)
        size = _checked_size(whole.tell(), "standard input")
        whole.seek(0)
        yield whole, size, "audio"


def _checked_size(size: int, name: str) -> int:
    if size == 0:
        raise click.ClickException(f"{name} is empty: there is nothing to transcribe")
    return size


def _show(response: httpx.Response, end: Callable[[], None]) -> None:
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        body = response.read()
        end()
        click.echo(body, nl=not body.endswith(b"\n"))
        return
    for event in events(response.iter_lines()):
        if "error" in event:
            end()
            raise click.ClickException(str(event["error"].get("message", "the server failed")))
        if event.get("type") == "transcript.text.delta":
            end()
            click.echo(event["delta"], nl=False)
    click.echo()


def events(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Read server-sent events whose data is one JSON object each, up to ``[DONE]`` or the end."""
    for line in lines:
        field, _, value = line.partition(":")
        if field != "data":
            continue
        if value.strip() == "[DONE]":
            return
        yield json.loads(value)
