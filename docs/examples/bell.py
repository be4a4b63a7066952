"""A voice whose weights, the recording of a bell, are fetched before its first use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

from msgspec import Struct

from open_speech_core.errors import DownloadFailed, WeightsMissing
from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Context, Synthesizer, SynthesizerEngine
from open_speech_core.types import Artifacts, Audio, LoadSpec, Model, ProviderInfo, SynthesizeRequest, Voice

RATE = 24_000
BLOCK_BYTES = 1 << 16


class BellOptions(Struct, frozen=True, kw_only=True):
    url: str = "https://example.org/bell.f32"
    """BELL_URL: raw float32 samples."""


class Bell(Synthesizer[BellOptions]):
    info = ProviderInfo(
        name="bell", title="Bell", licence="MIT", env_prefix="BELL_", environment=("HTTPS_PROXY", "https_proxy")
    )
    Options = BellOptions

    def models(self) -> tuple[Model, ...]:
        return (Model(id="bell", kind="synthesizer", rate=RATE, bytes=96_000, licence="CC0-1.0"),)

    def voices(self, model: Model) -> tuple[Voice, ...]:
        return (Voice(id="big", name="Big bell"),)

    @property
    def _file(self) -> Path:
        return self.home / "bell.f32"

    def artifacts(self, model: Model) -> Artifacts:
        there = self._file.is_file()
        return Artifacts(paths=(str(self._file),) if there else (), complete=there)

    def download(self, model: Model, context: Context) -> None:
        """Write to a temporary name, rename at the end: a file under its own name is whole."""
        self.home.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix(".part")
        try:
            with urlopen(self.options.url, timeout=30) as answer, part.open("wb") as file:
                while block := answer.read(BLOCK_BYTES):
                    context.check()
                    file.write(block)
                    context.progress(file.tell(), model.bytes)
        except OSError as error:
            raise DownloadFailed("the bell could not be fetched: check the connection") from error
        if part.stat().st_size != model.bytes:
            raise DownloadFailed(f"the bell has {part.stat().st_size} bytes, not {model.bytes}")
        part.replace(self._file)

    def load(self, spec: LoadSpec) -> SynthesizerEngine:
        import numpy as np

        if not self._file.is_file():
            raise WeightsMissing(f"{spec.model.id!r} is not here; run: open-speech models download {spec.model.id}")
        return Ringer(Audio(samples=np.fromfile(self._file, "<f4"), rate=RATE))


class Ringer(SynthesizerEngine):
    def __init__(self, bell: Audio) -> None:
        self._bell = bell

    def synthesize(self, request: SynthesizeRequest, context: Context) -> Iterator[Audio]:
        """Ring once a word."""
        for _word in request.text.split():
            context.check()
            yield self._bell


@hookimpl
def open_speech_register_synthesizers() -> list[type[Bell]]:
    return [Bell]
