"""``open-speech doctor``: what is here, what will be used and why, what is wrong or slow."""

from __future__ import annotations

import os

import click


@click.command(short_help="Say what is here, what is used, what is wrong or slow.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--settings", "settings_page", is_flag=True, help="Print all settings, as Markdown.")
def doctor(as_json: bool, settings_page: bool) -> int:
    """Look at this installation: plugins, devices, weights, defaults, and what will be slow.

    The exit code is 1 when something does not work.
    """
    if settings_page:
        from open_speech_api.settings import render_settings_markdown

        click.echo(render_settings_markdown(), nl=False)
        return 0
    from open_speech_api.doctor import examine, render

    from .table import print_json

    report = examine(os.environ)
    if as_json:
        print_json(report)
    else:
        click.echo(render(report), nl=False)
    return 1 if any(finding.level == "problem" for finding in report.findings) else 0
