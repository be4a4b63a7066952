"""Real faults, on demand, to see what becomes of the others."""

from __future__ import annotations

import ctypes
import os

from .options import Fault

FOREVER_S = 86_400


def strike(fault: Fault) -> None:
    """Fail as asked; only ``print`` returns."""
    libc = ctypes.CDLL(None)
    match fault:
        case "raise":
            raise RuntimeError("echo was told to raise, in /secret/place, over 'private words'")
        case "exit":
            os._exit(3)
        case "segfault":
            ctypes.string_at(0)
        case "hang":
            libc.sleep(FOREVER_S)
        case "freeze":
            # PyDLL keeps the interpreter lock: no thread of this process runs any more.
            ctypes.PyDLL(None).sleep(FOREVER_S)
        case "print":
            libc.puts(b"echo prints from C")
            libc.fflush(None)
