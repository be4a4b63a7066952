"""torchaudio without its compiled extension, where that does not load.

The index's torchaudio is built for CUDA, so beside a torch for the CPU its extension raises ``OSError``. transformers
imports it wherever it is installed; Kokoro uses nothing of it.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import NoReturn

EXTENSION = "torchaudio._extension"


def import_torchaudio() -> None:
    """Import torchaudio, if it is installed, so that it can be imported by others."""
    try:
        importlib.import_module("torchaudio")
    except ImportError:
        return
    except OSError:
        for name in [each for each in sys.modules if each.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules[EXTENSION] = _without_extension()
        importlib.import_module("torchaudio")


def _without_extension() -> ModuleType:
    """Give the names that the rest of torchaudio asks of its extension."""
    module = ModuleType(EXTENSION)
    module.__dict__.update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False, _IS_ALIGN_AVAILABLE=False, _load_lib=_no_library, fail_if_no_align=_refuse
    )
    return module


def _no_library(name: str) -> bool:
    return False


def _refuse(function: object) -> object:
    def refuse(*_args: object, **_more: object) -> NoReturn:
        raise RuntimeError("torchaudio's extension could not be loaded")

    return refuse
