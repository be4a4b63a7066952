"""``open-speech serve``: run the server."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from open_speech_api.settings import Settings

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@click.command(short_help="Run the server.")
@click.option("--host", metavar="ADDRESS", help="Address to listen on; the same as OS_HOST.")
@click.option("--port", metavar="PORT", help="Port to listen on; the same as OS_PORT.")
@click.option("--data-dir", metavar="FOLDER", help="Where data is kept; the same as OS_DATA_DIR.")
@click.option("--log-level", metavar="LEVEL", help="What is logged; the same as OS_LOG_LEVEL.")
def serve(host: str | None, port: str | None, data_dir: str | None, log_level: str | None) -> None:
    """Run the server until Ctrl-C.

    All its settings are environment variables: `open-speech doctor --settings` lists them.
    """
    from open_speech_api.settings import SettingsError, read_settings, with_writable_data

    options = {"OS_HOST": host, "OS_PORT": port, "OS_DATA_DIR": data_dir, "OS_LOG_LEVEL": log_level}
    given = {name: value for name, value in options.items() if value is not None}
    environ = dict(os.environ) | given
    try:
        settings, warnings = read_settings(environ)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    logging.basicConfig(level=settings.server.log_level.upper(), format=FORMAT, force=True)
    settings, more = with_writable_data(settings)
    for warning in (*warnings, *more, *_openness(settings)):
        logging.getLogger("open_speech").warning("%s", warning)
    _serve(settings, environ)


def _serve(settings: Settings, environ: dict[str, str]) -> None:
    from open_speech_api.server import ServeError
    from open_speech_api.server import serve as run
    from open_speech_api.settings import SettingsError

    try:
        run(settings, environ, on_ready=_greet)
    except (ServeError, SettingsError) as error:
        raise click.ClickException(str(error)) from None


def _openness(settings: Settings) -> tuple[str, ...]:
    from open_speech_api.security.hosts import is_loopback

    if settings.server.api_keys or is_loopback(settings.server.host):
        return ()
    return ("no OS_API_KEY is set: whoever reaches this server can use it",)


def _greet(url: str) -> None:
    """Say that the server is ready; an address that means all is shown as one that can be opened."""
    shown = url.replace("//0.0.0.0:", "//localhost:").replace("//[::]:", "//localhost:")
    click.echo(f"Open Speech is ready: {shown}/web to try it, {shown}/docs for the API. Ctrl-C stops it.")
