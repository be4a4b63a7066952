"""A package that carries weights for somebody else's provider, here Piper's, in its folder ``weights``."""

from __future__ import annotations

from pathlib import Path

from open_speech_core.hookspecs import hookimpl
from open_speech_core.types import ModelSource

WEIGHTS = Path(__file__).parent / "weights" / "en_GB-alba-medium.onnx"


@hookimpl
def open_speech_model_sources() -> list[ModelSource]:
    return [
        ModelSource(
            id="piper/en_GB-alba-medium",
            kind="synthesizer",
            path=str(WEIGHTS),
            licence="CC-BY-4.0",
            default_for="synthesizer",
            priority=20,
        )
    ]
