"""The provider: which models there are, where their weights lie, how they are fetched."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from open_speech_core import hub
from open_speech_core.errors import LoadFailed, WeightsMissing
from open_speech_core.providers import Context, Synthesizer, SynthesizerEngine
from open_speech_core.types import Artifacts, Capabilities, LoadSpec, Model, ProviderInfo, Voice

from .family import (
    ALIASES,
    DEFAULT_SPEAKER,
    LANGUAGES,
    MODELS,
    OPENAI_VOICES,
    SPEAKERS,
    TOKENIZER,
    Size,
    find,
    repository,
)

TOKENIZER_FOLDER = "speech_tokenizer"
TOKENIZER_FILES = ("config.json", "model.safetensors", "preprocessor_config.json")
REQUIRED = (
    "config.json",
    "generation_config.json",
    "merges.txt",
    "model.safetensors",
    "tokenizer_config.json",
    "vocab.json",
    *(f"{TOKENIZER_FOLDER}/{file}" for file in TOKENIZER_FILES),
)
FILES = (*REQUIRED, "preprocessor_config.json", f"{TOKENIZER_FOLDER}/configuration.json")
"""What a repository of the family may hold that is of use."""


class QwenOptions(Struct, frozen=True, kw_only=True):
    """Settings of the server's owner."""

    size: Size = "1.7B"
    """The model that ``qwen3`` and ``qwen3-tts`` mean."""
    flash_attn: bool = False
    """Use flash attention where its package is installed and the device is a GPU."""
    device: Annotated[str, Meta(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] | None = None
    """Where it runs; None is as the server's other engines."""
    clone_prompts: Annotated[int, Meta(ge=1, le=1000)] = 32
    """Cloned voices that are kept in memory, so that a reference is heard once."""


class QwenSynthesizer(Synthesizer[QwenOptions]):
    """Qwen3-TTS in its sizes and variants; each request goes to the variant that can serve it."""

    info = ProviderInfo(
        name="qwen3",
        title="Qwen3-TTS",
        licence="Apache-2.0",
        homepage="https://github.com/QwenLM/Qwen3-TTS",
        env_prefix="TTS_QWEN3_",
        environment=hub.ENVIRONMENT,
    )
    capabilities = Capabilities(
        streaming=True,
        languages=tuple(LANGUAGES),
        speed_control=True,
        voice_design=True,
        voice_clone=True,
        seed=True,
        instructions=True,
    )
    Options = QwenOptions
    aliases = ALIASES
    openai_voices = OPENAI_VOICES

    def models(self) -> tuple[Model, ...]:
        return MODELS

    def resolve(self, id: str) -> Model | None:
        return find(id)

    def voices(self, model: Model) -> tuple[Voice, ...]:
        """List the named speakers; asked of a sibling, the one that has them speaks."""
        if model.helper:
            return ()
        return tuple(sorted(SPEAKERS, key=lambda voice: voice.id != DEFAULT_SPEAKER))

    def artifacts(self, model: Model) -> Artifacts:
        """Give every copy, the likeliest first, and what a download left."""
        whole = tuple(str(folder) for folder in self._folders(model.id) if hub.has_files(folder, _required(model.id)))
        partial = self._partial(model.id)
        return Artifacts(paths=(*whole, *([str(partial)] if partial.is_dir() else ())), complete=bool(whole))

    def download(self, model: Model, context: Context) -> None:
        """Fetch into a folder beside the final one, which appears whole or not at all."""
        if self.artifacts(model).complete:
            return
        partial, target = self._partial(model.id), self._folder(model.id)
        self._share_tokenizer(model.id, partial)
        files = FILES if model.id != TOKENIZER else (*TOKENIZER_FILES, "configuration.json")
        repo, required = repository(model.id), _required(model.id)
        hub.fetch(repo, files, partial, context, required=required, revision=model.revision)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)

    def load(self, spec: LoadSpec) -> SynthesizerEngine:
        if spec.model.helper:
            raise LoadFailed(f"{spec.model.id!r} is a part of other models and cannot be loaded by itself")
        folder = spec.path or next(iter(self._complete(spec.model)), None)
        if folder is None or not hub.has_files(Path(folder), REQUIRED):
            raise WeightsMissing(
                f"the weights of {spec.model.id!r} are not on this machine; "
                f"fetch them with: open-speech models download {spec.model.id}"
            )
        try:
            from .engine import load_engine
        except ModuleNotFoundError as error:
            raise LoadFailed(
                f"Qwen3-TTS needs the package {error.name!r}; run: open-speech providers install qwen3, "
                "or install open-speech-qwen[engine]"
            ) from error
        return load_engine(Path(folder), spec, self.options)

    def _complete(self, model: Model) -> tuple[str, ...]:
        found = self.artifacts(model)
        return found.paths if found.complete else ()

    def _folder(self, id: str) -> Path:
        return self.home / hub.folder_name(repository(id))

    def _partial(self, id: str) -> Path:
        """Give the folder of an unfinished download; no id begins with a dot."""
        return self.home / f".{hub.folder_name(repository(id))}.part"

    def _folders(self, id: str) -> Iterator[Path]:
        """Give the folders in which a model may lie, the likeliest first."""
        yield self._folder(id)
        if (snapshot := hub.cached(hub.cache_folder(os.environ), repository(id), _required(id))) is not None:
            yield snapshot

    def _share_tokenizer(self, id: str, partial: Path) -> None:
        """Lay the tokenizer of a model that is here into a download, by links.

        All models have the same one. The download compares it with the checksums of its own repository, and fetches it
        where it is another.
        """
        place = partial if id == TOKENIZER else partial / TOKENIZER_FOLDER
        for other in MODELS:
            folder = self._folder(other.id)
            tokenizer = folder if other.id == TOKENIZER else folder / TOKENIZER_FOLDER
            if other.id != id and hub.has_files(folder, _required(other.id)):
                with contextlib.suppress(OSError):
                    place.mkdir(parents=True, exist_ok=True)
                    for file in TOKENIZER_FILES:
                        if not (place / file).exists():
                            os.link(tokenizer / file, place / file)
                return


def _required(id: str) -> Sequence[str]:
    return TOKENIZER_FILES if id == TOKENIZER else REQUIRED
