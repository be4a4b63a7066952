"""``open-speech models``: list them, and fetch their weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from msgspec import Struct

from .connection import Unreachable, connected, connection_options
from .lifecycle import act, announce, delete, load, read, status, unload, watch
from .progress import counter

if TYPE_CHECKING:
    import httpx

    from open_speech_core.registry import Resolved
    from open_speech_core.types import Kind


class Line(Struct, frozen=True, kw_only=True):
    """One model as it is listed."""

    id: str
    kind: str
    provider: str
    state: str
    device: str | None = None
    size_mb: float | None = None
    licence: str = ""


@click.group(invoke_without_command=True, short_help="List, load, watch, fetch, unload and delete models.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--all", "everything", is_flag=True, help="List what can be fetched too.")
@connection_options
@click.pass_context
def models(
    context: click.Context, as_json: bool, everything: bool, url: str | None, api_key: str | None, insecure: bool
) -> None:
    """List the models of the running server; without one, those of this installation."""
    if context.invoked_subcommand is not None:
        return
    try:
        with connected(url, api_key, insecure) as client:
            lines = _served(client, everything)
    except Unreachable as error:
        if _elsewhere(url):
            raise
        click.echo(f"{error.message}\nUntil then, this is what the installation has:", err=True)
        lines = _installed(everything)
    _print(lines, as_json)


@models.command()
@click.argument("id")
@connection_options
def download(id: str, url: str | None, api_key: str | None, insecure: bool) -> None:
    """Fetch the weights of model ID, by the running server if there is one, else to this machine."""
    try:
        with connected(url, api_key, insecure) as client:
            announce(status(client, id))
            found = act(client, id, "download")
    except Unreachable:
        if _elsewhere(url):
            raise
        _download_here(id)
    else:
        click.echo(f"{found.id} is on the server's machine.", err=True)


for command in (load, watch, unload, delete):
    models.add_command(command)


def _download_here(id: str) -> None:
    from open_speech_core.errors import OpenSpeechError
    from open_speech_core.providers import Context

    found = _find(id)
    licence = found.model.licence or "unknown"
    click.echo(f"Fetching {found.model.bytes / 1e6:.0f} MB of {found.id}; licence: {licence}.", err=True)
    try:
        with counter(f"Fetching {found.id}") as count:
            found.provider.download(found.model, Context(progress=count))
    except OpenSpeechError as error:
        raise click.ClickException(error.message) from None
    click.echo(f"{found.id} is on this machine.", err=True)


def _elsewhere(url: str | None) -> bool:
    """Say whether a server was named, so that this machine's own models are not what was meant."""
    import os

    return url is not None or bool(os.environ.get("OS_URL"))


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


def _served(client: httpx.Client, everything: bool) -> list[Line]:
    from open_speech_api.wire.lifecycle import ManagedModelList

    listed = read(client.get("/api/models"), ManagedModelList).models
    return [
        Line(
            id=each.id,
            kind=each.type,
            provider=each.provider,
            state=each.state,
            device=each.device,
            size_mb=each.size_mb,
            licence=each.licence,
        )
        for each in listed
        if everything or each.is_default or each.state not in ("available", "provider_missing")
    ]


def _installed(everything: bool) -> list[Line]:
    from .installed import own_registry, own_settings

    registry = own_registry(own_settings())
    kinds: tuple[tuple[Kind, str], ...] = (("transcriber", "stt"), ("synthesizer", "tts"))
    return [
        Line(
            id=found.id,
            kind=shown,
            provider=found.provider.info.name,
            state="downloaded" if here else "available",
            size_mb=round(found.model.bytes / 1e6, 1) or None,
            licence=found.model.licence,
        )
        for kind, shown in kinds
        for found in registry.models(kind)
        if (here := registry.on_disk(found)) or everything
    ]


def _print(lines: list[Line], as_json: bool) -> None:
    from .table import print_json, print_table

    if as_json:
        print_json(lines)
        return
    rows = [
        (
            line.id,
            line.kind,
            line.provider,
            line.state,
            line.device or "",
            f"{line.size_mb:.0f}" if line.size_mb else "",
        )
        for line in lines
    ]
    print_table(("MODEL", "KIND", "PROVIDER", "STATE", "DEVICE", "MB"), rows)
