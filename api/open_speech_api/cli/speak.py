"""``open-speech speak``: a text into audio."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from .connection import check, connected, connection_options
from .progress import Say, spinner
from .wav import mend_sizes

if TYPE_CHECKING:
    import httpx

PATH = "/v1/audio/speech"
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
SUFFIXES = {f".{name}": name for name in FORMATS} | {".ogg": "opus", ".raw": "pcm"}


@click.command(short_help="Turn a text into audio.")
@click.argument("text")
@click.option("--model", metavar="ID", help="Model to use. Default: the server's.")
@click.option("--voice", metavar="NAME", help="Voice to speak with. Default: the server's.")
@click.option("--speed", type=click.FloatRange(0.25, 4), help="Speed, 1 is normal.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="Audio format. Default: by the name of the output, else mp3; wav when piped.",
)
@click.option("-o", "--output", metavar="FILE", help="File to write; - is standard output.")
@connection_options
def speak(
    text: str,
    model: str | None,
    voice: str | None,
    speed: float | None,
    format_: str | None,
    output: str | None,
    url: str | None,
    api_key: str | None,
    insecure: bool,
) -> None:
    """Speak TEXT, or what comes from standard input for -, to a file or a pipe."""
    piped = output in (None, "-")
    if piped and sys.stdout.isatty():
        raise click.UsageError("audio cannot be shown in a terminal; name a file with -o, or pipe it on")
    chosen = format_ or ("wav" if piped else SUFFIXES.get(Path(str(output)).suffix.lower(), "mp3"))
    fields = {
        "input": _read(text),
        "model": model,
        "voice": voice,
        "speed": speed,
        "response_format": chosen,
    }
    body = {name: value for name, value in fields.items() if value is not None}
    with (
        connected(url, api_key, insecure) as client,
        spinner("Speaking") as say,
        client.stream("POST", PATH, json=body) as response,
    ):
        check(response)
        with _sink(None if piped else Path(str(output)), chosen) as sink:
            _copy(response, sink, say)


def _copy(response: httpx.Response, sink: IO[bytes], say: Say) -> None:
    """Pass audio on as it comes, so that a player can start at once."""
    written = 0
    for chunk in response.iter_bytes():
        sink.write(chunk)
        sink.flush()
        written += len(chunk)
        say(f"Speaking: {written / 1000:.0f} kB")


def _read(text: str) -> str:
    if text == "-":
        if sys.stdin.isatty():
            click.echo("Type the text; Ctrl-D ends it.", err=True)
        text = sys.stdin.buffer.read().decode("utf-8", "replace")
    if not text.strip():
        raise click.UsageError("the text is empty: there is nothing to speak")
    return text


@contextmanager
def _sink(path: Path | None, format_: str) -> Iterator[IO[bytes]]:
    """Open what the audio goes to; a file appears under its name when it is whole."""
    if path is None:
        yield sys.stdout.buffer
        return
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as device:
                yield device
            return
        with _whole_file(path.resolve(), format_) as file:
            yield file
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from None


@contextmanager
def _whole_file(path: Path, format_: str) -> Iterator[IO[bytes]]:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            if format_ == "wav":
                mend_sizes(file)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
