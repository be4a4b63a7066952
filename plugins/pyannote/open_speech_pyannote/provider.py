"""The provider: the published pipeline, gated, or folders of the owner's; where the files lie, how they are fetched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from msgspec import Meta, Struct

from open_speech_core import hub
from open_speech_core.errors import DownloadFailed, WeightsMissing
from open_speech_core.providers import Context, Diarizer, DiarizerEngine
from open_speech_core.types import Artifacts, Capabilities, LoadSpec, Model, ProviderInfo

RATE = 16_000
PREFIX = "pyannote/"
PUBLISHED = "speaker-diarization-community-1"
REVISION = "3533c8cf8e369892e6b79ff1bf80f7b0286a54ee"
"""The commit of the published pipeline that is fetched."""
CONFIG = "config.yaml"
FILES = (
    CONFIG,
    "segmentation/pytorch_model.bin",
    "embedding/pytorch_model.bin",
    "plda/plda.npz",
    "plda/xvec_transform.npz",
)
BYTES = 33_000_000
MEMORY_MB = 900


class PyannoteOptions(Struct, frozen=True, kw_only=True):
    """Settings of the server's owner."""

    known_similarity: Annotated[
        float, Meta(ge=-1, le=1, description="Cosine from which a speaker is taken for a known one.")
    ] = 0.5


class PyannoteDiarizer(Diarizer[PyannoteOptions]):
    """Pipelines of pyannote.audio."""

    info = ProviderInfo(
        name="pyannote",
        title="pyannote.audio",
        licence="MIT",
        homepage="https://github.com/pyannote/pyannote-audio",
        env_prefix="PYANNOTE_",
        environment=hub.ENVIRONMENT,
    )
    capabilities = Capabilities()
    Options = PyannoteOptions
    aliases: Mapping[str, str] = MappingProxyType({PUBLISHED: f"{PREFIX}{PUBLISHED}"})

    def models(self) -> tuple[Model, ...]:
        return (self._model(PUBLISHED),)

    def local(self) -> Iterator[Model]:
        """List the owner's own pipelines: folders with a configuration."""
        for file in sorted(self.home.glob(f"*/{CONFIG}")):
            if file.parent.name != PUBLISHED:
                yield self._model(file.parent.name)

    def resolve(self, id: str) -> Model | None:
        name = _name_of(id)
        return self._model(name) if name is not None and (self.home / name / CONFIG).is_file() else None

    def artifacts(self, model: Model) -> Artifacts:
        if (name := _name_of(model.id)) is None:
            return Artifacts()
        folder = self.home / name
        there = tuple(str(each) for each in (folder, self._partial(name)) if each.exists())
        return Artifacts(paths=there, complete=_is_whole(folder, name))

    def download(self, model: Model, context: Context) -> None:
        """Fetch the published pipeline; its terms must have been accepted by the owner of ``HF_TOKEN``."""
        if _name_of(model.id) != PUBLISHED:
            raise DownloadFailed(f"{model.id!r} is a pipeline of your own; nobody else has its files")
        folder, partial = self.home / PUBLISHED, self._partial(PUBLISHED)
        if _is_whole(folder, PUBLISHED):
            return
        if not os.environ.get("HF_TOKEN"):
            raise DownloadFailed(
                f"{model.id!r} is gated: accept its terms on the hub, then set HF_TOKEN to a token of that account"
            )
        hub.fetch(model.id, FILES, partial, context, required=FILES, revision=model.revision)
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)

    def load(self, spec: LoadSpec) -> DiarizerEngine:
        name = _name_of(spec.model.id) or ""
        folder = Path(spec.path) if spec.path else self.home / name
        if not _is_whole(folder, name):
            raise WeightsMissing(
                f"the weights of {spec.model.id!r} are not on this machine; accept their terms on the hub, set "
                f"HF_TOKEN and run: open-speech models download {spec.model.id}"
            )
        from .engine import load_engine

        return load_engine(folder, spec, self.options)

    def _model(self, name: str) -> Model:
        published = name == PUBLISHED
        return Model(
            id=f"{PREFIX}{name}",
            kind=self.kind,
            rate=RATE,
            title="pyannote community-1" if published else f"pyannote {name}",
            bytes=BYTES if published else 0,
            licence="CC-BY-4.0, gated" if published else "",
            revision=REVISION if published else "",
            memory_mb=MEMORY_MB,
            span_s=None,
        )

    def _partial(self, name: str) -> Path:
        return self.home / f".{name}.part"


def _name_of(id: str) -> str | None:
    """Give the name of a pipeline's folder."""
    name = id.removeprefix(PREFIX)
    plain = name != id and name and name[0] != "." and all(each.isalnum() or each in "._-" for each in name)
    return name if plain else None


def _is_whole(folder: Path, name: str) -> bool:
    """Say whether all that a load needs is in a folder; of the owner's own, the configuration says the rest."""
    return all((folder / each).is_file() for each in (FILES if name == PUBLISHED else (CONFIG,)))
