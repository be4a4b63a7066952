"""Voice packs: a style for every length of text, from any of the forms they are published in."""

from __future__ import annotations

import logging
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from open_speech_core.errors import LoadFailed, VoiceNotFound

from .blend import Blend
from .files import archived, packs

log = logging.getLogger(__name__)

LENGTHS = 510
"""Row n - 1 is the style of a text of n phonemes."""
WIDTH = 256
KEPT = 64
"""Packs and blends that are kept, half a megabyte each."""

Pack: TypeAlias = "np.ndarray[tuple[int, int, int], np.dtype[np.float32]]"
"""Shape ``(510, 1, 256)``."""


class Packs:
    """Reads packs as they are asked for, and mixes them."""

    def __init__(self, places: Sequence[Path]) -> None:
        self._files = packs(places)
        self._archived = archived(places)
        self._kept: OrderedDict[Blend, Pack] = OrderedDict()

    @property
    def names(self) -> frozenset[str]:
        return frozenset((*self._files, *self._archived))

    def mix(self, blend: Blend) -> Pack:
        """Give the weighted mean of the packs. Raises ``VoiceNotFound``, or ``LoadFailed`` for a damaged pack."""
        if (kept := self._kept.get(blend)) is not None:
            self._kept.move_to_end(blend)
            return kept
        mixed = np.zeros((LENGTHS, 1, WIDTH), np.float32)
        for name, share in blend:
            mixed += np.float32(share) * self._read(name)
        self._kept[blend] = mixed
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return mixed

    def _read(self, name: str) -> Pack:
        if name not in self.names:
            raise VoiceNotFound(
                f"the pack of voice {name!r} is not on this machine; "
                "fetch those of the release with: open-speech models download kokoro",
                param="voice",
            )
        try:
            if (file := self._files.get(name)) is not None:
                return _shaped(read_pack(file))
            with np.load(self._archived[name]) as archive:
                return _shaped(archive[name])
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            log.exception("pack of %s could not be read", name)
            raise LoadFailed(f"the pack of voice {name!r} is no pack of Kokoro's; is its file whole?") from error


def read_pack(file: Path) -> np.ndarray:
    """Read one pack's numbers. Raises ``OSError``, ``EOFError``, ``ValueError``, ``KeyError`` or ``BadZipFile``."""
    if file.suffix == ".npy":
        return np.asarray(np.load(file))
    if file.suffix == ".pt":
        # What torch.save writes of one tensor: an archive with its bytes as they are; unpickling is not needed.
        with zipfile.ZipFile(file) as archive:
            (data,) = [name for name in archive.namelist() if name.endswith("/data/0")]
            return np.frombuffer(archive.read(data), "<f4")
    return np.fromfile(file, "<f4")


def _shaped(numbers: np.ndarray) -> Pack:
    shaped: Pack = np.ascontiguousarray(numbers, np.float32).reshape(LENGTHS, 1, WIDTH)
    if not np.isfinite(shaped).all():
        raise ValueError("it holds numbers that are not finite")
    return shaped
