"""The provider: a model a language, or the owner's own folder; where the files lie and how they are fetched."""

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
from open_speech_core.providers import Context, Synthesizer, SynthesizerEngine
from open_speech_core.types import Artifacts, Capabilities, LoadSpec, Model, ProviderInfo, Voice

from .languages import GATED_REPO, LANGUAGES, OPEN_REPO, VOICES, VOICES_REVISION, WEIGHTS_BYTES, Language

PREFIX = "pocket-tts"
RATE = 24_000
ENGLISH = "english"

WEIGHTS = "model.safetensors"
CLONING_WEIGHTS = "model-with-cloning.safetensors"
TOKENIZER = "tokenizer.json"
CONFIG = "config.yaml"
"""Of the owner's own model; where it is, the library reads it and nothing else."""
STATES = "embeddings"
"""Folder of voices: states (.safetensors), and in a model of the owner's recordings too."""
MEMORY_MB = 700


class PocketOptions(Struct, frozen=True, kw_only=True):
    """Settings of the server's owner."""

    temperature: (
        Annotated[float, Meta(gt=0, le=2, description="How much speech varies. Unset: the model's own.")] | None
    ) = None
    quantize: Annotated[bool, Meta(description="Compute in int8: half the memory; needs the package torchao.")] = False
    voices_mb: Annotated[int, Meta(ge=1, description="Memory for states of voices, cloned ones included.")] = 256
    cloning: (
        Annotated[
            bool,
            Meta(description="Download the weights that can clone, which need HF_TOKEN. Unset: if there is one."),
        ]
        | None
    ) = None


class PocketSynthesizer(Synthesizer[PocketOptions]):
    """Kyutai's Pocket TTS."""

    info = ProviderInfo(
        name="pocket",
        title="Pocket TTS",
        licence="MIT",
        homepage="https://github.com/kyutai-labs/pocket-tts",
        env_prefix="POCKET_",
        environment=hub.ENVIRONMENT,
    )
    capabilities = Capabilities(streaming=True, voice_clone=True, seed=True)
    Options = PocketOptions
    aliases: Mapping[str, str] = MappingProxyType({"pocket": PREFIX, f"{PREFIX}/{ENGLISH}": PREFIX})

    def models(self) -> tuple[Model, ...]:
        return tuple(self._model(language.name, language) for language in LANGUAGES.values())

    def local(self) -> Iterator[Model]:
        """List the owner's own models: folders with a configuration."""
        for file in sorted(self.home.glob(f"*/{CONFIG}")):
            if file.parent.name not in LANGUAGES:
                yield self._model(file.parent.name, None)

    def resolve(self, id: str) -> Model | None:
        name = _name_of(id)
        if name is None or name in LANGUAGES or not (self.home / name / CONFIG).is_file():
            return None
        return self._model(name, None)

    def voices(self, model: Model) -> tuple[Voice, ...]:
        name = _name_of(model.id) or ""
        language = LANGUAGES.get(name)
        if language is None:
            found = dict.fromkeys(file.stem for file in sorted((self.home / name / STATES).glob("*.*")))
            return tuple(Voice(id=each, name=_title(each), language="und") for each in found)
        ids = dict.fromkeys((language.voice, *VOICES))
        return tuple(Voice(id=each, name=_title(each), language=language.tag) for each in ids)

    def artifacts(self, model: Model) -> Artifacts:
        if (name := _name_of(model.id)) is None:
            return Artifacts()
        folder = self.home / name
        there = tuple(str(each) for each in (folder, self._partial(name)) if each.exists())
        return Artifacts(paths=there, complete=_is_whole(folder, LANGUAGES.get(name)))

    def download(self, model: Model, context: Context) -> None:
        """Fetch tokenizer, voices and weights, then move them into place, the weights last."""
        name = _name_of(model.id)
        if name is None or (language := LANGUAGES.get(name)) is None:
            raise DownloadFailed(f"{model.id!r} is a model of your own; nobody else has its files")
        folder, partial = self.home / name, self._partial(name)
        if _is_whole(folder, language):
            return
        source = f"languages/{name}"
        states = [f"{source}/{STATES}/{voice}.safetensors" for voice in VOICES]
        tokenizer, weights = f"{source}/{TOKENIZER}", f"{source}/{WEIGHTS}"
        first = f"{source}/{STATES}/{language.voice}.safetensors"
        hub.fetch(OPEN_REPO, [tokenizer], partial, context, required=[tokenizer], revision=language.tokenizer_revision)
        hub.fetch(OPEN_REPO, states, partial, context, required=[first], revision=VOICES_REVISION)
        cloning = bool(os.environ.get("HF_TOKEN")) if self.options.cloning is None else self.options.cloning
        repo = GATED_REPO if cloning else OPEN_REPO
        revision = language.gated_revision if cloning else language.open_revision
        hub.fetch(repo, [weights], partial, context, required=[weights], revision=revision)
        (folder / STATES).mkdir(parents=True, exist_ok=True)
        for state in states:
            if (partial / state).is_file():
                (partial / state).replace(folder / STATES / Path(state).name)
        (partial / tokenizer).replace(folder / TOKENIZER)
        (partial / weights).replace(folder / (CLONING_WEIGHTS if cloning else WEIGHTS))
        shutil.rmtree(partial, ignore_errors=True)

    def load(self, spec: LoadSpec) -> SynthesizerEngine:
        name = _name_of(spec.model.id) or ""
        folder = Path(spec.path) if spec.path else self.home / name
        if not _is_whole(folder, LANGUAGES.get(name)):
            raise WeightsMissing(
                f"the weights of {spec.model.id!r} are not on this machine; "
                f"fetch them with: open-speech models download {spec.model.id}"
            )
        from .engine import load_engine

        return load_engine(folder, name, spec, self.options)

    def _model(self, name: str, language: Language | None) -> Model:
        return Model(
            id=PREFIX if name == ENGLISH else f"{PREFIX}/{name}",
            kind="synthesizer",
            rate=RATE,
            title=f"Pocket TTS {name.title()}",
            languages=(language.tag,) if language is not None else (),
            bytes=WEIGHTS_BYTES if language is not None else 0,
            licence="CC-BY-4.0" if language is not None else "",
            memory_mb=MEMORY_MB,
            span_s=None,
            revision=language.open_revision if language is not None else "",
        )

    def _partial(self, name: str) -> Path:
        return self.home / f".{name}.part"


def _name_of(id: str) -> str | None:
    """Give the name of a model's folder."""
    if id == PREFIX:
        return ENGLISH
    name = id.removeprefix(f"{PREFIX}/")
    plain = name != id and name and name[0] != "." and all(each.isalnum() or each in "._-" for each in name)
    return name if plain else None


def _is_whole(folder: Path, language: Language | None) -> bool:
    """Say whether all that a load needs is in a folder."""
    if (folder / CONFIG).is_file():
        return True
    if language is None or not (folder / TOKENIZER).is_file():
        return False
    weights = any((folder / each).is_file() for each in (CLONING_WEIGHTS, WEIGHTS))
    return weights and (folder / STATES / f"{language.voice}.safetensors").is_file()


def _title(voice: str) -> str:
    return voice.replace("_", " ").title()
