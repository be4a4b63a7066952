"""The provider: which models there are, where their weights lie, how they are fetched."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from open_speech_core import hub
from open_speech_core.errors import DownloadFailed, WeightsMissing
from open_speech_core.providers import Context, Transcriber, TranscriberEngine
from open_speech_core.types import Artifacts, Capabilities, LoadSpec, Model, ProviderInfo

from .catalogue import ALIASES, MODELS, make_model

FILES = (
    "config.json",
    "preprocessor_config.json",
    "model.bin",
    "tokenizer.json",
    "vocabulary.txt",
    "vocabulary.json",
)
"""What a CTranslate2 Whisper repository may hold that is of use."""
RECOGNISED = ("config.json", "model.bin")
"""A folder with these is taken for a model."""
REQUIRED = (*RECOGNISED, "tokenizer.json")
"""Without the tokenizer the library would ask the hub for one while it loads."""

_FOLDER_NAME = re.compile(r"[\w][\w.+-]{0,127}")

ComputeType = Literal[
    "auto", "int8", "int8_float32", "int8_float16", "int8_bfloat16", "int16", "float16", "bfloat16", "float32"
]
Beams = Annotated[int, Meta(ge=1, le=10)]


class WhisperOptions(Struct, frozen=True, kw_only=True):
    """Settings of the server's owner."""

    compute_type: Annotated[ComputeType, Meta(extra={"env": "STT_COMPUTE_TYPE"})] = "auto"
    """``auto``: float16 on a GPU, int8 on a CPU."""
    model_dir: Annotated[str | None, Meta(extra={"env": "STT_MODEL_DIR"})] = None
    """Folder of the owner's own models, each in a folder of its own."""
    beam_size: Beams = 5
    fitted_window: bool = True
    """Show the encoder the speech and a margin, not always 30 s; what looks wrong is decoded again in full."""
    batch: Annotated[int, Meta(ge=1, le=64)] | None = None
    """Spans, of one recording or of several callers, decoded together; None is 8 on a GPU, 1 on a CPU."""


class WhisperRequestOptions(Struct, frozen=True, kw_only=True):
    """Request fields of this provider's own."""

    beam_size: Annotated[
        Beams | None, Meta(description="Beams of the search, 1 to 10; 1 is fastest. Default: the server's.")
    ] = None
    hotwords: Annotated[
        Annotated[str, Meta(max_length=1000)] | None,
        Meta(description="Names and terms to listen for; about the first 60 tokens count."),
    ] = None
    condition_on_previous_text: Annotated[
        bool | None, Meta(description="Let the text so far guide what follows within a span. Default: true.")
    ] = None


class WhisperTranscriber(Transcriber[WhisperOptions]):
    """Whisper models in CTranslate2 form: the listed ones, any repository of the hub, the owner's folders."""

    info = ProviderInfo(
        name="whisper",
        title="Whisper (faster-whisper)",
        licence="MIT",
        homepage="https://github.com/SYSTRAN/faster-whisper",
        env_prefix="WHISPER_",
        environment=hub.ENVIRONMENT,
    )
    capabilities = Capabilities(streaming=True, word_timestamps=True, translation=True, batch=True)
    Options = WhisperOptions
    RequestOptions = WhisperRequestOptions
    aliases = ALIASES

    def models(self) -> tuple[Model, ...]:
        return MODELS

    def resolve(self, id: str) -> Model | None:
        if listed := next((model for model in MODELS if model.id == id), None):
            return listed
        if hub.is_repo_id(id) or self._own_folder(id) is not None:
            return make_model(id)
        return None

    def local(self) -> Iterator[Model]:
        """List what lies in our home, under STT_MODEL_DIR and in the hub's caches, and is not listed anyhow."""
        known = {model.id for model in MODELS}
        for id in self._here():
            if id not in known:
                known.add(id)
                yield make_model(id)

    def _here(self) -> Iterator[str]:
        own = Path(self.options.model_dir) if self.options.model_dir else None
        for root in filter(None, (self.home, own)):
            for folder in sorted(root.glob("*--*")):
                id = folder.name.replace("--", "/", 1)
                if hub.is_repo_id(id) and hub.has_files(folder, REQUIRED):
                    yield id
        if own is not None:
            names = (folder.name for folder in sorted(own.glob("*")))
            yield from (name for name in names if self._own_folder(name) is not None)
        for cache in self._caches():
            # Any repository may lie there; Whisper's in this form are named so.
            yield from (repo for repo in hub.cached_repos(cache, REQUIRED) if "whisper" in repo.lower())

    def artifacts(self, model: Model) -> Artifacts:
        """Give every copy, the likeliest first, and what a download left."""
        whole = [str(folder) for folder in self._folders(model.id) if hub.has_files(folder, REQUIRED)]
        partial = self._partial(model.id)
        return Artifacts(paths=(*whole, *([str(partial)] if partial.is_dir() else ())), complete=bool(whole))

    def download(self, model: Model, context: Context) -> None:
        """Fetch into a folder beside the final one, which appears whole or not at all."""
        if self.artifacts(model).complete:
            return
        if not hub.is_repo_id(model.id):
            lacking = ", ".join(sorted(set(REQUIRED) - set(RECOGNISED)))
            raise DownloadFailed(f"the folder {model.id!r} lacks {lacking}, and it is no repository of the hub")
        partial, target = self._partial(model.id), self.home / hub.folder_name(model.id)
        hub.fetch(model.id, FILES, partial, context, required=REQUIRED, revision=model.revision)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)

    def load(self, spec: LoadSpec) -> TranscriberEngine:
        from .engine import load_engine

        folder = spec.path or next(iter(self._complete(spec.model)), None)
        if folder is None or not hub.has_files(Path(folder), RECOGNISED):
            raise WeightsMissing(
                f"the weights of {spec.model.id!r} are not on this machine; "
                f"fetch them with: open-speech models download {spec.model.id}"
            )
        return load_engine(Path(folder), spec, self.options)

    def _complete(self, model: Model) -> tuple[str, ...]:
        found = self.artifacts(model)
        return found.paths if found.complete else ()

    def _partial(self, id: str) -> Path:
        """Give the folder of an unfinished download; no id begins with a dot."""
        return self.home / f".{hub.folder_name(id)}.part"

    def _folders(self, id: str) -> Iterator[Path]:
        """Give the folders in which a model may lie, the likeliest first."""
        if not hub.is_repo_id(id):
            if (own := self._own_folder(id)) is not None:
                yield own
            return
        yield self.home / hub.folder_name(id)
        if self.options.model_dir:
            yield Path(self.options.model_dir) / hub.folder_name(id)
        for cache in self._caches():
            if (snapshot := hub.cached(cache, id, REQUIRED)) is not None:
                yield snapshot

    def _caches(self) -> list[Path]:
        """Name the hub's caches; faster-whisper makes one of the folder that it is given as its root."""
        own = [Path(self.options.model_dir)] if self.options.model_dir else []
        return [*own, hub.cache_folder(os.environ)]

    def _own_folder(self, id: str) -> Path | None:
        """Find a folder of the owner's by its name; the name cannot lead out of STT_MODEL_DIR.

        With ``--`` in it, it is a repository's, which has an id already.
        """
        if not self.options.model_dir or _FOLDER_NAME.fullmatch(id) is None or "--" in id:
            return None
        folder = Path(self.options.model_dir) / id
        return folder if hub.has_files(folder, RECOGNISED) else None
