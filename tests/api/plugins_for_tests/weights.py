"""Models whose weights are slow to come, fail to come, or are too large; what they say is echo's."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from open_speech_core.errors import DownloadFailed, StorageFull
from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Context
from open_speech_core.types import Artifacts, Model, ProviderInfo
from open_speech_echo.options import EchoOptions
from open_speech_echo.provider import EchoTranscriber

STEP_BYTES = 1000
STEPS = 10
MODELS = {
    "slow": 0,
    "org/slower": 0,
    "a/b/slowest": 0,
    "org/progress": 0,
    "medium": 100,
    "middling": 100,
    "huge": 1 << 30,
}
"""Ids with the memory they say they take, in MB."""
CLAIMED = re.compile(r"[a-z]+/[a-z]+")
"""Further ids, which are not listed: any two words, as of a hub's repositories."""
SIZE = STEP_BYTES * STEPS


class WeightsOptions(EchoOptions, frozen=True, kw_only=True):
    step_s: Annotated[float, Meta(ge=0)] = 0.05
    """A download has ``STEPS`` steps."""
    fault: Literal["none", "network", "disk", "exit", "bug"] = "none"
    """What every download ends in when half of it is here; not once the file ``mended`` lies in the home."""


class WeightsTranscriber(EchoTranscriber):
    info = ProviderInfo(name="weights", title="Weights", licence="MIT", env_prefix="WEIGHTS_")
    Options = WeightsOptions
    options: WeightsOptions

    def models(self) -> tuple[Model, ...]:
        return tuple(self._model(id, memory_mb) for id, memory_mb in MODELS.items())

    def resolve(self, id: str) -> Model | None:
        return self._model(id) if CLAIMED.fullmatch(id) else None

    def local(self) -> Iterator[Model]:
        for file in sorted(self.home.glob("*.bin")):
            if (id := file.stem.replace("--", "/")) not in MODELS:
                yield self._model(id)

    def _model(self, id: str, memory_mb: int = 0) -> Model:
        return Model(id=id, kind="transcriber", rate=16_000, bytes=SIZE, memory_mb=memory_mb, licence="CC0-1.0")

    def artifacts(self, model: Model) -> Artifacts:
        file = self._file(model)
        partial = file.with_suffix(".partial")
        found = tuple(str(path) for path in (file, partial) if path.exists())
        return Artifacts(paths=found, complete=file.exists())

    def download(self, model: Model, context: Context) -> None:
        file = self._file(model)
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        with partial.open("ab") as out:
            while (size := out.tell()) < SIZE:
                context.check()
                time.sleep(self.options.step_s)
                out.write(b"w" * STEP_BYTES)
                out.flush()
                context.progress(size + STEP_BYTES, SIZE)
                if size + STEP_BYTES == SIZE // 2:
                    self._strike()
        partial.rename(file)

    def _strike(self) -> None:
        if (self.home / "mended").exists():
            return
        match self.options.fault:
            case "network":
                raise DownloadFailed("the connection was lost; what came is kept")
            case "disk":
                raise StorageFull("the disk is full")
            case "exit":
                os._exit(1)
            case "bug":
                raise RuntimeError("private /secret/path")
            case "none":
                return

    def _file(self, model: Model) -> Path:
        return self.home / f"{model.id.replace('/', '--')}.bin"


@hookimpl
def open_speech_register_transcribers() -> list[type[WeightsTranscriber]]:
    return [WeightsTranscriber]
