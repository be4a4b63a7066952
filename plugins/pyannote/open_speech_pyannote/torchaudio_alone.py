"""torchaudio without its compiled part, which only loads beside the torch it was built for.

The library needs torchaudio's filters in plain torch alone, so the missing part is no reason not to speak: torchaudio
built for CUDA beside a torch for the CPU, for instance.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

EXTENSION = "torchaudio._extension"


def import_torchaudio() -> None:
    """Import torchaudio; where its compiled part does not load, without that."""
    try:
        import torchaudio
    except OSError:
        sys.modules[EXTENSION] = _without_extension()
        import torchaudio  # noqa: F401


def _without_extension() -> ModuleType:
    """Make the module that torchaudio would have made, had it been built without its compiled part."""
    stub: Any = ModuleType(EXTENSION)
    stub._IS_TORCHAUDIO_EXT_AVAILABLE = False
    stub._IS_ALIGN_AVAILABLE = False
    stub.fail_if_no_align = _fails
    made: ModuleType = stub
    return made


def _fails(function: Any) -> Any:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("torchaudio's compiled part is not here")

    return fail
