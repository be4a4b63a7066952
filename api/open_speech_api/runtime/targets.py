"""From a resolved model, or a part of media, to a target of the pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Raw

from open_speech_api.settings import Settings
from open_speech_core.errors import FeatureNotSupported, ModelNotFound, WeightsMissing
from open_speech_core.hub import cache_folder
from open_speech_core.options import environment_allowed
from open_speech_core.registry import Registry, Resolved
from open_speech_core.remote import RemoteProvider
from open_speech_core.types import CANCEL_S, Artifacts, EngineSpec, Kind, LoadSpec, Model

from . import effects
from .cores import usable_cores
from .effects import Effects
from .plan import Cutting
from .target import Target

MEDIA_PLUGIN = "open_speech_api.media.engine"


class Targets:
    """Makes targets by settings; asks the disk, never a library."""

    def __init__(self, settings: Settings, registry: Registry, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._registry = registry
        self._environ = environ
        self._cores = settings.server.cores or usable_cores()
        self.decode = self._media("media/decode")
        self.encode = self._media("media/encode")

    def engine(self, resolved: Resolved) -> Target:
        """Give the target of a model.

        Raises:
            FeatureNotSupported: it is no model that could be loaded.
            WeightsMissing: its weights are not here, and may not be fetched on demand.
        """
        if resolved.model.helper:
            raise FeatureNotSupported(
                f"{resolved.id!r} is a part of other models and cannot be loaded by itself", param="model"
            )
        here = self._registry.on_disk(resolved)
        if not here and not self._settings.server.auto_download:
            raise WeightsMissing(
                f"the weights of {resolved.id!r} are not on this machine; "
                f"run: open-speech models download {resolved.id}",
                param="model",
            )
        return self._engine(resolved, download=not here)

    def serving(self, resolved: Resolved, asked: Resolved) -> Target:
        """Give the target of the model that serves a request for ``asked``, one of its family.

        Raises what ``engine`` does, and ``FeatureNotSupported`` where the other may not be fetched on demand.
        """
        try:
            return self.engine(resolved)
        except WeightsMissing as error:
            if resolved.id == asked.id:
                raise
            raise FeatureNotSupported(
                f"model {asked.id!r} leaves such a request to {resolved.id!r}: {error.message}", param="model"
            ) from error

    def download(self, resolved: Resolved) -> Target:
        """Give the target of a download, which the settings need not allow: it was asked for by name."""
        return self._engine(resolved, download=True)

    def spec(self, resolved: Resolved) -> EngineSpec:
        """Say how a model's engine is made, whether its weights are here or not."""
        source = self._registry.source(resolved)
        device, compute_type = self._device(resolved.model.kind)
        return EngineSpec(
            plugin=resolved.plugin.module,
            kind=resolved.model.kind,
            provider=resolved.provider.info.name,
            load=LoadSpec(
                model=resolved.model,
                path=source.path if source is not None else None,
                device=device,
                compute_type=compute_type,
                threads=self._settings.server.worker_threads or 1,
                home=str(resolved.provider.home),
            ),
        )

    def roots(self) -> list[Path]:
        """Name the folders in which files of models are ours to delete: our own, the owner's, the hub's cache."""
        own = [self._settings.server.data_root / "models", cache_folder(self._environ)]
        model_dir = self._settings.stt.model_dir
        return own if model_dir is None else [*own, Path(model_dir).expanduser()]

    def _engine(self, resolved: Resolved, *, download: bool) -> Target:
        spec = self.spec(resolved)
        cuda = spec.load.device.startswith("cuda")
        return Target(
            key=resolved.key,
            spec=spec,
            max_replicas=1 if cuda else max(1, self._cores // spec.load.threads),
            cancel_s=resolved.provider.capabilities.cancel_s or CANCEL_S,
            interpreter=resolved.plugin.interpreter,
            environment=self._declared(resolved),
            # What lives in another environment cannot be imported here.
            inline=self._settings.server.placement == "inline" and resolved.plugin.interpreter is None,
            download=download,
        )

    def ready(self, kind: Kind) -> list[str]:
        """Give the keys of the models whose weights are here."""
        return [found.key for found in self._registry.models(kind) if self._registry.on_disk(found)]

    def note(self, target: Target, there: Artifacts) -> None:
        """Tell a provider in another environment, which cannot look itself, what a download left."""
        model = target.spec.load.model
        for plugin, provider in self._registry.of_kind(model.kind):
            same = provider.info.name == target.spec.provider and plugin.interpreter == target.interpreter
            if same and isinstance(provider, RemoteProvider):
                provider.note(model, there)

    def cutting(self) -> Cutting:
        """Say how recordings are cut, by the settings and the detector that is installed."""
        vad = self._settings.vad
        detector: EngineSpec | None = None
        if vad.enabled:
            try:
                detector = self.spec(self._registry.resolve("detector", ""))
            except ModelNotFound:
                detector = None
        return Cutting(
            detector=detector,
            before=self.before_hearing(),
            threshold=vad.threshold,
            min_speech_ms=vad.min_speech_ms,
            min_silence_ms=800 if vad.silence_ms is None else vad.silence_ms,
            max_audio_s=self._settings.server.max_audio_s,
        )

    def effects(self, wanted: Sequence[Raw]) -> Effects:
        """Choose what is done to speech after an engine made it: what settings ask for, then what the request does.

        Raises ``InvalidRequest`` and ``FeatureNotSupported``, naming the field.
        """
        tts = self._settings.tts
        chosen = self._if_here("trim", tts.trim_silence) + self._if_here("peak", tts.normalize_output)
        for found, options in effects.read(self._registry, wanted):
            chosen += Effects(specs=(self.spec(found),), options=(options,))
        return chosen

    def before_hearing(self) -> Effects:
        """Choose what is done to a recording before anything hears it.

        Raises ``FeatureNotSupported`` where noise reduction is on and not installed.
        """
        stt = self._settings.stt
        chosen = Effects()
        if stt.noise_reduce:
            found = effects.needed(self._registry, "denoise", "STT_NOISE_REDUCE")
            chosen += effects.one(found, self.spec(found))
        return chosen + self._if_here("level", stt.normalize)

    def _if_here(self, type: str, wanted: bool) -> Effects:
        found = effects.find(self._registry, type) if wanted else None
        return Effects() if found is None else effects.one(found, self.spec(found))

    def _device(self, kind: Kind) -> tuple[str, str]:
        """Give device and compute type; detectors and processors are too small to move."""
        stt, tts = self._settings.stt, self._settings.tts
        if kind == "transcriber":
            return stt.device or "auto", stt.compute_type or "auto"
        if kind == "diarizer":
            return stt.device or "auto", "auto"
        if kind == "synthesizer":
            return tts.device or stt.device or "auto", "auto"
        return "auto", "auto"

    def _declared(self, resolved: Resolved) -> dict[str, str]:
        provider = resolved.provider
        return environment_allowed(provider.info, provider.Options, self._environ)

    def _media(self, id: str) -> Target:
        model = Model(id=id, kind="processor", rate=0)
        environment = {
            name: value
            for kind in ("detector", "processor")
            for _, provider in self._registry.of_kind(kind)
            for name, value in environment_allowed(provider.info, provider.Options, self._environ).items()
        }
        return Target(
            key=id,
            spec=EngineSpec(
                plugin=MEDIA_PLUGIN,
                kind="media",
                provider="media",
                load=LoadSpec(model=model, home=str(Path())),
            ),
            environment=environment,
            inline=self._settings.server.placement == "inline",
            counted=False,
        )
