"""The data folder, when it cannot be written to."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from .tree import Settings

FALLBACK = "data"


def with_writable_data(settings: Settings) -> tuple[Settings, tuple[str, ...]]:
    """Make the data folder; where that is impossible, use ``./data`` and give a warning that says so."""
    wanted = settings.server.data_root
    if _writable(wanted):
        return settings, ()
    fallback = Path.cwd() / FALLBACK
    server = msgspec.structs.replace(settings.server, data_dir=str(fallback))
    warning = f"the data folder {wanted} cannot be written to; using {fallback}. OS_DATA_DIR chooses another"
    return msgspec.structs.replace(settings, server=server), (warning,)


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)
