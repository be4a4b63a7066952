"""The file of raw samples that a decode writes and a recogniser reads while it grows."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np

from open_speech_core.audio import DTYPE, SAMPLE_BYTES
from open_speech_core.errors import Cancelled, StorageFull
from open_speech_core.types import Float32

RESERVE_BYTES = 256 << 20
"""Disk that stays free."""


class SampleFile:
    """Raw little-endian float32 mono, mode 0600. What ``write`` has returned from can be read by others.

    Its owner, the server, deletes it, also after a failure.

    Raises:
        StorageFull: less than ``RESERVE_BYTES`` would stay free.
    """

    def __init__(self, path: str, expected_frames: int) -> None:
        self.frames = 0
        self._folder = Path(path).parent
        self._check_free(expected_frames * SAMPLE_BYTES)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o600)
        os.fchmod(self._descriptor, 0o600)

    def write(self, samples: Float32) -> None:
        """Append a block."""
        view = np.ascontiguousarray(samples, DTYPE).view(np.uint8).data
        self._check_free(len(view))
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull("the disk is full; the audio could not be decoded") from error
            raise
        self.frames += len(samples)

    def close(self) -> None:
        os.close(self._descriptor)

    def _check_free(self, wanted_bytes: int) -> None:
        try:
            free = shutil.disk_usage(self._folder).free
        except FileNotFoundError as error:
            # The server removes a request's folder when its client has left; the cancel is on its way.
            raise Cancelled("the request's folder is gone") from error
        if free - wanted_bytes < RESERVE_BYTES:
            raise StorageFull(
                f"the disk has no room for {-(-wanted_bytes >> 20)} MB of decoded audio "
                f"beside a reserve of {RESERVE_BYTES >> 20} MB"
            )
