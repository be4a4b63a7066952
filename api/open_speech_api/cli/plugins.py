"""``open-speech plugins``: what was found, and why something is not in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from open_speech_core.plugins import PluginRecord


@click.command(short_help="List plugins and what is wrong with them.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plugins(as_json: bool) -> None:
    """List the installed plugins and what is wrong with them."""
    from .installed import own_registry, own_settings
    from .table import print_json, print_table

    registry = own_registry(own_settings())
    if as_json:
        print_json(registry.plugins)
        return
    if not registry.plugins:
        click.echo("No plugin is installed. Engines come as packages, such as open-speech-whisper.")
        return
    rows = [(each.name, each.distribution, each.version, _state(each)) for each in registry.plugins]
    print_table(("PLUGIN", "PACKAGE", "VERSION", "STATE"), rows)
    for conflict in registry.conflicts:
        click.echo(conflict, err=True)


def _state(record: PluginRecord) -> str:
    if record.error is not None:
        return record.error
    return "ok" if record.interpreter is None else "ok, in an environment of its own"
