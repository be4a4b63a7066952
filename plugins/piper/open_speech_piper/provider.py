"""The provider: a model is a voice; where its two files lie and how they are fetched."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from open_speech_core import hub
from open_speech_core.errors import DownloadFailed, WeightsMissing
from open_speech_core.providers import Context, Synthesizer, SynthesizerEngine
from open_speech_core.types import Artifacts, Capabilities, LoadSpec, Model, ProviderInfo, Voice

from .index import FILE as INDEX_FILE
from .index import Index, near
from .voices import LISTED, PREFIX, REPO, REVISION, VoiceConfig, VoiceId, parse_voice_id, read_config

Noise = Annotated[float, Meta(ge=0, le=2)]


class PiperOptions(Struct, frozen=True, kw_only=True):
    """Settings of the server's owner; None is the voice's own value."""

    noise_scale: Noise | None = None
    noise_w_scale: Noise | None = None


class PiperRequestOptions(Struct, frozen=True, kw_only=True):
    """Request fields of this provider's own."""

    noise_scale: Annotated[
        Noise | None, Meta(description="How much the sound varies, 0 to 2. Default: the voice's.")
    ] = None
    noise_w_scale: Annotated[
        Noise | None, Meta(description="How much the rhythm varies, 0 to 2. Default: the voice's.")
    ] = None


class PiperSynthesizer(Synthesizer[PiperOptions]):
    """Voices of the Piper collection, listed or not."""

    info = ProviderInfo(
        name="piper",
        title="Piper",
        licence="GPL-3.0-or-later",
        homepage="https://github.com/OHF-voice/piper1-gpl",
        env_prefix="PIPER_",
        environment=hub.ENVIRONMENT,
    )
    capabilities = Capabilities(streaming=True, speed_control=True)
    Options = PiperOptions
    RequestOptions = PiperRequestOptions

    def __init__(self, options: PiperOptions, home: Path) -> None:
        super().__init__(options, home)
        self._index = Index(home)

    def models(self) -> tuple[Model, ...]:
        """List the voices we know of, and with the collection's own list at hand all of those."""
        ids = dict.fromkeys((*LISTED, *self._index.voices))
        return tuple(self._model(voice) for id in ids if (voice := parse_voice_id(id)))

    def resolve(self, id: str) -> Model | None:
        voice = parse_voice_id(id)
        return self._model(voice) if voice is not None else None

    def local(self) -> Iterator[Model]:
        """List voices in our home that nobody listed: the owner's own."""
        listed = {*LISTED, *self._index.voices}
        for file in sorted(self.home.glob("*.onnx")):
            voice = parse_voice_id(file.stem)
            if voice is not None and voice.id not in listed and file.with_name(f"{file.name}.json").is_file():
                yield self._model(voice)

    def voices(self, model: Model) -> tuple[Voice, ...]:
        if (voice := parse_voice_id(model.id)) is None:
            return ()
        own = Voice(id=voice.id, name=voice.title, language=voice.tag)
        config = self._config(voice)
        speakers = config.speakers if config is not None else ()
        return (
            own,
            *(
                Voice(id=f"{voice.id}/{speaker}", name=f"{voice.title}, {speaker}", language=voice.tag)
                for speaker in speakers
            ),
        )

    def artifacts(self, model: Model) -> Artifacts:
        if (voice := parse_voice_id(model.id)) is None:
            return Artifacts()
        wanted = self._files(voice)
        there = tuple(str(file) for file in (*wanted, self._partial(voice)) if file.exists())
        return Artifacts(paths=there, complete=all(file.is_file() for file in wanted))

    def download(self, model: Model, context: Context) -> None:
        """Fetch both files, then move them into place, the weights last."""
        if self.artifacts(model).complete:
            return
        if (voice := parse_voice_id(model.id)) is None:
            raise DownloadFailed(f"{model.id!r} is no voice of Piper's collection")
        self._check_exists(voice, context)
        partial = self._partial(voice)
        weights, config = voice.repo_path, f"{voice.repo_path}.json"
        hub.fetch(REPO, (weights, config), partial, context, required=(weights, config), revision=REVISION)
        to_weights, to_config = self._files(voice)
        (partial / config).replace(to_config)
        (partial / weights).replace(to_weights)
        shutil.rmtree(partial, ignore_errors=True)

    def _check_exists(self, voice: VoiceId, context: Context) -> None:
        """Raise ``DownloadFailed`` for a voice that the collection's list, fetched first if need be, has not."""
        if not self._index.voices:
            partial = self.home / ".voices.part"
            hub.fetch(REPO, (INDEX_FILE,), partial, context, required=(INDEX_FILE,), revision=REVISION)
            (partial / INDEX_FILE).replace(self.home / INDEX_FILE)
            shutil.rmtree(partial, ignore_errors=True)
        known = self._index.voices
        if known and voice.id not in known:
            like = ", ".join(near(voice.id, known))
            raise DownloadFailed(f"Piper's collection has no voice {voice.id!r}" + (f"; it has {like}" if like else ""))

    def load(self, spec: LoadSpec) -> SynthesizerEngine:
        from .engine import load_engine

        voice = parse_voice_id(spec.model.id)
        weights = self._weights(spec, voice) if voice is not None else None
        if voice is None or weights is None:
            raise WeightsMissing(
                f"the weights of {spec.model.id!r} are not on this machine; "
                f"fetch them with: open-speech models download {spec.model.id}"
            )
        return load_engine(weights, voice.id, spec, self.options)

    def _model(self, voice: VoiceId) -> Model:
        config = self._config(voice)
        return Model(
            id=f"{PREFIX}{voice.id}",
            kind="synthesizer",
            rate=config.audio.sample_rate if config is not None else voice.usual_rate,
            title=f"Piper {voice.title}",
            languages=(voice.tag,),
            bytes=indexed.bytes if (indexed := self._index.voices.get(voice.id)) else voice.usual_bytes,
            licence="see its MODEL_CARD",
            revision=REVISION,
            memory_mb=voice.memory_mb,
            span_s=None,
        )

    def _files(self, voice: VoiceId) -> tuple[Path, Path]:
        """Give where the weights and the config belong."""
        return self.home / f"{voice.id}.onnx", self.home / f"{voice.id}.onnx.json"

    def _partial(self, voice: VoiceId) -> Path:
        return self.home / f".{voice.id}.part"

    def _config(self, voice: VoiceId) -> VoiceConfig | None:
        return read_config(self._files(voice)[1])

    def _weights(self, spec: LoadSpec, voice: VoiceId) -> Path | None:
        """Find the weights: the source's file or folder, else our own; the config must lie beside them."""
        path = Path(spec.path) if spec.path else self.home
        weights = path / f"{voice.id}.onnx" if path.is_dir() else path
        return weights if weights.is_file() and weights.with_name(f"{weights.name}.json").is_file() else None
