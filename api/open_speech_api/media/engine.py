"""The media engine: what a media worker loads. Libraries are imported when first used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from open_speech_core.providers import Context, Engine
from open_speech_core.types import Decoded, DecodeRequest, EncodeConfig, LoadSpec, Span

from .sessions import Engines

if TYPE_CHECKING:
    from .encode import EncodeSession

DECODE = "media/decode"
ENCODE = "media/encode"
"""Ids of the models that stand for the two kinds of media worker; each warms up for its own work."""
THREADS = 8
"""Calls and sessions at once: most wait for credit, and the libraries work outside the interpreter's lock."""


def load(spec: LoadSpec) -> MediaEngine:
    """Make the engine; called by ``open_speech_core.worker.engines.BuiltIn``."""
    return MediaEngine(spec.model.id)


class MediaEngine(Engine):
    """Decodes files and opens encoders. Any thread."""

    max_concurrency = THREADS
    device = "cpu"

    def __init__(self, model: str) -> None:
        self._model = model
        self._engines = Engines()

    def warm_up(self) -> None:
        """Import the libraries and run them once."""
        if self._model == ENCODE:
            self._warm_encoder()
        elif self._model == DECODE:
            self._warm_decoder()

    def decode(self, request: DecodeRequest, context: Context) -> Iterator[Span | Decoded]:
        """Decode a file; see ``open_speech_api.media.decode``."""
        from .decode import decode

        return decode(request, self._engines, context)

    def open(self, config: EncodeConfig) -> EncodeSession:
        """Start a stream of encoded audio."""
        from .encode import EncodeSession

        return EncodeSession(config, self._engines)

    def close(self) -> None:
        self._engines.close()

    def _warm_encoder(self) -> None:
        import numpy as np

        session = self.open(EncodeConfig(format="mp3", rate=24_000))
        session.feed(np.zeros(2205, np.float32), 22_050)
        session.flush()
        session.close()

    def _warm_decoder(self) -> None:
        from tempfile import NamedTemporaryFile

        from .encode import wav_header
        from .resample import RateChanger
        from .source import AudioFile

        with NamedTemporaryFile() as file:
            file.write(wav_header(22_050, 4410) + bytes(4410))
            file.flush()
            with closing(AudioFile(file.name)) as source:
                for samples, rate in source.blocks(lambda: None):
                    RateChanger(16_000).feed(samples, rate)
