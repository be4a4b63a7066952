"""The pages that the server hands to browsers, as files."""

from importlib.resources import files
from pathlib import Path


def folder() -> Path:
    """Return the folder that holds ``web`` and ``docs``.

    The package is never imported from an archive, so its resources are plain files.
    """
    return Path(str(files(__name__)))
