"""What the tests of Kokoro share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from open_speech_core.types import Model
from open_speech_kokoro.provider import KokoroOptions, KokoroSynthesizer

TEXT = "The quick brown fox jumps over the lazy dog."


def make(home: Path, **options: Any) -> KokoroSynthesizer:
    return KokoroSynthesizer(KokoroOptions(**options), home)


def model_of(provider: KokoroSynthesizer | None = None) -> Model:
    (model,) = (provider or make(Path("nowhere"))).models()
    return model


def lay(home: Path, **shares: float) -> None:
    """Make packs whose every number is the given one."""
    (home / "voices").mkdir(parents=True, exist_ok=True)
    for name, number in shares.items():
        np.full(510 * 256, number, "<f4").tofile(home / "voices" / f"{name}.bin")
