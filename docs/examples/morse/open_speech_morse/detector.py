"""The detector: what the server asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from open_speech_core.providers import Detector
from open_speech_core.types import Capabilities, LoadSpec, Model

from .synthesizer import INFO, RATE, MorseOptions

if TYPE_CHECKING:
    from .detecting import ToneFinder


class MorseDetector(Detector[MorseOptions]):
    info = INFO
    capabilities = Capabilities(weight="light", streaming=True)
    Options = MorseOptions

    def models(self) -> tuple[Model, ...]:
        return (Model(id="morse-tone", kind="detector", rate=RATE, title="Tone finder", span_s=None),)

    def load(self, spec: LoadSpec) -> ToneFinder:
        from .detecting import ToneFinder

        return ToneFinder()
