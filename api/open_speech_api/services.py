"""All that a request needs, made once by ``create_app`` and given to every controller."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from open_speech_core.registry import Registry

from .installs import Installs
from .library import Library
from .observers import Observers
from .runtime.downloads import Downloads
from .runtime.memory import Memory
from .runtime.pool import Pool
from .runtime.preloads import Preloads
from .runtime.targets import Targets
from .settings import Settings

log = logging.getLogger(__name__)


class Services(Struct, frozen=True, kw_only=True):
    """The server's parts, wired."""

    settings: Settings
    registry: Registry
    pool: Pool
    preloads: Preloads
    downloads: Downloads
    memory: Memory
    targets: Targets
    installs: Installs
    library: Library
    run_folder: Path
    """Where requests keep their files while they run; nothing else is in it."""
    observers: Observers
    version: str
    installed_at: int
    """Unix seconds; what ``created`` of a model without weights of its own says, the same at every start."""
    local_only: bool
    """Only this machine can reach the server."""

    @contextlib.contextmanager
    def request_folder(self) -> Iterator[Path]:
        """Give a private folder that is gone afterwards, whatever happens."""
        folder = self.run_folder / uuid.uuid4().hex
        folder.mkdir(mode=0o700, parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def make_run_folder(configured: str | None) -> Path:
    """Make the folder for running requests; what a killed server left in a configured one is removed."""
    if configured is None:
        return Path(tempfile.mkdtemp(prefix="open-speech-"))
    folder = Path(configured).expanduser()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in folder.iterdir():
        if left.is_dir() and len(left.name) == 32:
            shutil.rmtree(left, ignore_errors=True)
    return folder


def installed_at() -> int:
    """Say when this server was installed, in Unix seconds."""
    return int(Path(__file__).stat().st_mtime)
