"""The collection's own list of voices, ``voices.json``, kept beside the voices once it was fetched."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

FILE = "voices.json"
MOST_NEAR = 5


class _File(Struct, frozen=True, kw_only=True):
    size_bytes: int = 0


class IndexedVoice(Struct, frozen=True, kw_only=True):
    """What the list says of one voice."""

    quality: str = ""
    num_speakers: int = 1
    files: dict[str, _File] = {}
    """Path in the repository to size."""

    @property
    def bytes(self) -> int:
        """Size of the weights."""
        return sum(file.size_bytes for path, file in self.files.items() if path.endswith(".onnx"))


class Index:
    """Reads the list from a folder, anew when it has changed. Empty while there is none."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._read_at = 0
        self._voices: dict[str, IndexedVoice] = {}

    @property
    def voices(self) -> Mapping[str, IndexedVoice]:
        """Give voice ids, without ``piper/``, in the list's order."""
        try:
            changed_at = self._file.stat().st_mtime_ns
        except OSError:
            return {}
        if changed_at != self._read_at:
            self._read_at = changed_at
            try:
                self._voices = msgspec.json.decode(self._file.read_bytes(), type=dict[str, IndexedVoice])
            except (OSError, msgspec.MsgspecError):
                self._voices = {}
        return self._voices


def near(id: str, known: Iterable[str]) -> list[str]:
    """Give the ids that are spelt most alike."""
    return difflib.get_close_matches(id, known, n=MOST_NEAR, cutoff=0.5)
