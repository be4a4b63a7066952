"""``open-speech models``: list them, and fetch their weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from msgspec import Struct

from .connection import Unreachable, check, connected, connection_options
from .progress import counter

if TYPE_CHECKING:
    import httpx

    from open_speech_core.registry import Resolved


class Line(Struct, frozen=True, kw_only=True):
    """One model as it is listed; the names are those of ``GET /v1/audio/models``."""

    id: str
    kind: str | None = None
    backend: str = ""
    status: str = ""
    device: str | None = None


class Listing(Struct, frozen=True, kw_only=True):
    models: tuple[Line, ...]


@click.group(invoke_without_command=True, short_help="List models, or fetch one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--all", "everything", is_flag=True, help="List what can be fetched too; asks no server.")
@connection_options
@click.pass_context
def models(
    context: click.Context, as_json: bool, everything: bool, url: str | None, api_key: str | None, insecure: bool
) -> None:
    """List the models of the running server; without one, those of this installation."""
    if context.invoked_subcommand is not None:
        return
    if everything:
        _print(_installed(), as_json)
        return
    import os

    try:
        with connected(url, api_key, insecure) as client:
            lines = _served(client)
    except Unreachable as error:
        if url is not None or os.environ.get("OS_URL"):
            raise
        click.echo(f"{error.message}\nUntil then, this is what the installation has:", err=True)
        lines = _installed()
    _print(lines, as_json)


@models.command()
@click.argument("id")
def download(id: str) -> None:
    """Fetch the weights of model ID to this machine."""
    from open_speech_core.errors import OpenSpeechError
    from open_speech_core.providers import Context

    found = _find(id)
    try:
        with counter(f"Fetching {found.id}") as count:
            found.provider.download(found.model, Context(progress=count))
    except OpenSpeechError as error:
        raise click.ClickException(error.message) from None
    click.echo(f"{found.id} is on this machine.", err=True)


def _find(id: str) -> Resolved:
    from open_speech_core.errors import ModelNotFound
    from open_speech_core.types import KINDS

    from .installed import own_registry, own_settings

    registry = own_registry(own_settings())
    for kind in KINDS:
        try:
            found = registry.resolve(kind, id)
        except ModelNotFound:
            continue
        if registry.on_disk(found):
            click.echo(f"{found.id} is here already.", err=True)
            raise click.exceptions.Exit(0)
        return found
    raise click.ClickException(f"no installed plugin knows a model {id!r}; `open-speech models --all` lists them")


def _served(client: httpx.Client) -> list[Line]:
    import msgspec

    response = client.get("/v1/audio/models")
    check(response)
    try:
        return list(msgspec.json.decode(response.content, type=Listing).models)
    except msgspec.DecodeError:
        raise click.ClickException("what answers there is no Open Speech server") from None


def _installed() -> list[Line]:
    from open_speech_core.types import KINDS

    from .installed import own_registry, own_settings

    registry = own_registry(own_settings())
    return [
        Line(
            id=found.id,
            kind=found.model.kind,
            backend=found.provider.info.name,
            status="downloaded" if registry.on_disk(found) else "available",
        )
        for kind in KINDS
        for found in registry.models(kind)
    ]


def _print(lines: list[Line], as_json: bool) -> None:
    from .table import print_json, print_table

    if as_json:
        print_json(lines)
        return
    rows = [(line.id, line.kind or "", line.backend, line.status, line.device or "") for line in lines]
    print_table(("MODEL", "KIND", "PROVIDER", "STATE", "DEVICE"), rows)
