"""``open-speech providers``: list them, and install and remove them on the running server, telling who waits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from .connection import check, connected, connection_options
from .lifecycle import LOOK_EVERY_S, read
from .progress import spinner

if TYPE_CHECKING:
    import httpx

    from open_speech_api.wire.providers import InstallJob, ProviderObject

LAST_LINES = 20
"""Of what the commands of a failed install said."""
LONGEST_LINE = 60


@click.group(invoke_without_command=True, short_help="List, install and remove providers.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@connection_options
@click.pass_context
def providers(context: click.Context, as_json: bool, url: str | None, api_key: str | None, insecure: bool) -> None:
    """List the providers of the running server, and those that it can install."""
    if context.invoked_subcommand is not None:
        return
    from .table import print_json

    with connected(url, api_key, insecure) as client:
        listed = _served(client)
    if as_json:
        print_json(listed)
    else:
        _print(listed)


@providers.command()
@click.argument("name")
@click.option("--again", is_flag=True, help="Make its environment anew even if nothing has changed.")
@connection_options
def install(name: str, again: bool, url: str | None, api_key: str | None, insecure: bool) -> None:
    """Install provider NAME on the server's machine, in an environment of its own, while the server runs.

    Who leaves ends nothing; `open-speech providers cancel` does.
    """
    from open_speech_api.wire.providers import InstallStarted

    with connected(url, api_key, insecure) as client:
        _announce(_find(client, name))
        wish = {"provider": name, "again": again}
        started = read(client.post("/api/providers/install", json=wish), InstallStarted)
        job = _watch(client, name, started.job_id)
    if job.status != "done":
        last = job.output.splitlines()[-LAST_LINES:]
        click.echo("".join(f"{line}\n" for line in last), err=True, nl=False)
        at = f" while {job.step}" if job.step else ""
        raise click.ClickException(f"{name} was not installed{at}: {job.error}")
    nothing_to_do = started.status == "done"
    click.echo(job.output.strip() if nothing_to_do else f"{name} {job.version} is installed.", err=True)


@providers.command()
@click.argument("name")
@connection_options
def cancel(name: str, url: str | None, api_key: str | None, insecure: bool) -> None:
    """Stop the install of provider NAME and remove what came of it."""
    with connected(url, api_key, insecure) as client:
        found = _find(client, name)
        if found is None or found.job_id is None:
            raise click.ClickException(f"{name} is not being installed")
        check(client.delete(f"/api/providers/install/{found.job_id}"))
    click.echo(f"The install of {name} is cancelled.", err=True)


@providers.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@connection_options
def remove(name: str, yes: bool, url: str | None, api_key: str | None, insecure: bool) -> None:
    """Remove provider NAME and its environment from the server's machine; its weights stay."""
    if not yes:
        click.confirm(f"Remove {name}?", abort=True, err=True)
    with connected(url, api_key, insecure) as client:
        check(client.delete(f"/api/providers/{quote(name, safe='')}"))
    click.echo(f"{name} is removed.", err=True)


def _watch(client: httpx.Client, name: str, job_id: str) -> InstallJob:
    """Wait for an install, showing its step and its last line while a person watches."""
    from open_speech_api.wire.providers import InstallJob

    with spinner(f"{name}: ...") as show:
        while (job := read(client.get(f"/api/providers/install/{job_id}"), InstallJob)).status == "installing":
            last = job.output.rstrip().rpartition("\n")[2][:LONGEST_LINE]
            show(f"{name}: {job.step}" + (f"  [dim]{_plain(last)}[/dim]" if last else ""))
            time.sleep(LOOK_EVERY_S)
    return job


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _announce(found: ProviderObject | None) -> None:
    """Say what will be installed and under which licences, before it is."""
    if found is not None and found.where is None:
        size = f", about {found.size_mb} MB" if found.size_mb else ""
        weights = f"; of its weights: {found.weights_licence}" if found.weights_licence else ""
        click.echo(f"Installing {found.title}{size}; licence: {found.licence}{weights}.", err=True)


def _find(client: httpx.Client, name: str) -> ProviderObject | None:
    return next((each for each in _served(client) if each.name == name), None)


def _served(client: httpx.Client) -> tuple[ProviderObject, ...]:
    from open_speech_api.wire.providers import ProviderList

    return read(client.get("/api/providers"), ProviderList).providers


def _print(listed: tuple[ProviderObject, ...]) -> None:
    from .table import print_table

    rows = [
        (each.name, ", ".join(each.kinds), _state(each), each.version or "", each.licence, f"{each.size_mb or ''}")
        for each in listed
    ]
    print_table(("PROVIDER", "KINDS", "STATE", "VERSION", "LICENCE", "MB"), rows)
    for each in listed:
        if each.problem is not None:
            click.echo(f"{each.name}: {each.problem}", err=True)


def _state(found: ProviderObject) -> str:
    if found.state != "installed":
        return found.state
    if found.update is not None:
        return f"update: {found.update}"
    return "installed" if found.where == "own" else "built in"
