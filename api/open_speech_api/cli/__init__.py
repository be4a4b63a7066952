"""The command ``open-speech``: one module a command. What a command needs is imported when it runs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

import click

from .bundle import bundle
from .doctor import doctor
from .models import models
from .plugin import plugin
from .plugins import plugins
from .providers import providers
from .serve import serve
from .speak import speak
from .transcribe import transcribe

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


def _version() -> str:
    from importlib.metadata import version

    return version("open-speech-api")


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"open-speech {_version()}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version.",
)
def commands() -> None:
    """Speech to text and text to speech on your own machine, with OpenAI's API."""


for command in (serve, transcribe, speak, models, providers, bundle, plugin, plugins, doctor):
    commands.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code: 1 failed, 2 bad use, 130 interrupted."""
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        code = commands.main(arguments, prog_name="open-speech", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    return code if isinstance(code, int) else 0
