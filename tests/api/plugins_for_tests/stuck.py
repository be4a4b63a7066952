"""A model that never finishes loading, and one that keeps its whole process from running meanwhile."""

from __future__ import annotations

import ctypes
from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_core.types import LoadSpec, Model, ProviderInfo
from open_speech_echo.provider import EchoTranscriber

FOREVER_S = 86_400


class Stuck(EchoTranscriber):
    info = ProviderInfo(name="stuck", title="Stuck", licence="MIT")

    def models(self) -> tuple[Model, ...]:
        return tuple(Model(id=id, kind="transcriber", rate=16_000) for id in ("hangs", "freezes"))

    def load(self, spec: LoadSpec) -> Any:
        # PyDLL keeps the interpreter's lock.
        library = ctypes.CDLL(None) if spec.model.id == "hangs" else ctypes.PyDLL(None)
        library.sleep(FOREVER_S)


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Stuck]
