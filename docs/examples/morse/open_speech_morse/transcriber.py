"""The ear: what the server asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from open_speech_core.providers import Transcriber
from open_speech_core.types import Capabilities, LoadSpec, Model

from .synthesizer import INFO, RATE, MorseOptions

if TYPE_CHECKING:
    from .hearing import MorseListener


class MorseTranscriber(Transcriber[MorseOptions]):
    info = INFO
    capabilities = Capabilities(streaming=True, word_timestamps=True)
    Options = MorseOptions

    def models(self) -> tuple[Model, ...]:
        return (Model(id="morse-ear", kind="transcriber", rate=RATE, title="Morse ear"),)

    def load(self, spec: LoadSpec) -> MorseListener:
        from .hearing import MorseListener

        return MorseListener(self.options)
