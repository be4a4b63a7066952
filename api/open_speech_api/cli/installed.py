"""What is installed on this machine, found without a server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from open_speech_api.settings import Settings
    from open_speech_core.registry import Registry


def own_settings() -> Settings:
    """Read the settings of this environment.

    Raises:
        ClickException: they are bad.
    """
    from open_speech_api.settings import SettingsError, read_settings

    try:
        return read_settings(os.environ)[0]
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def own_registry(settings: Settings) -> Registry:
    """Find the plugins of this environment and of those beside it."""
    from open_speech_api.settings import canonical_environ
    from open_speech_core.plugins import discover
    from open_speech_core.registry import build_registry

    return build_registry(
        discover(),
        environ=canonical_environ(os.environ),
        data_dir=settings.server.data_root,
        providers_dir=settings.server.folder("providers"),
    )
