"""The provider: one model, its voices, where its files lie and how they are fetched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from open_speech_core import hub
from open_speech_core.errors import LoadFailed, VoiceNotFound, WeightsMissing
from open_speech_core.providers import Context, Synthesizer, SynthesizerEngine
from open_speech_core.types import Artifacts, Capabilities, LoadSpec, Model, ProviderInfo, Voice

from . import files
from .blend import parse_blend
from .voices import LANGUAGES, NAMES, OPENAI, describe

if TYPE_CHECKING:
    from .runtime import Runtime

ID = "kokoro"
RATE = 24_000
ONNX_REPO = "onnx-community/Kokoro-82M-v1.0-ONNX"
TORCH_REPO = "hexgrad/Kokoro-82M"
REVISIONS = {
    ONNX_REPO: "1939ad2a8e416c0acfeecc08a694d14ef25f2231",
    TORCH_REPO: "f3ff3571791e39611d31c381e3a41a3af07b4987",
}
"""The commits that are fetched."""
DEFAULT = NAMES[0]
NEAR = 20

RuntimeName = Literal["auto", "onnx", "torch"]
ONNX_DOWNLOADS = {"int8": "onnx/model_quantized.onnx", "float32": "onnx/model.onnx"}


class KokoroOptions(Struct, frozen=True, kw_only=True):
    """Settings of the server's owner."""

    runtime: RuntimeName = "auto"
    """``auto``: torch where there is a GPU, its package and its weights; ONNX otherwise."""
    weights: Annotated[Literal["int8", "float32"], Meta(description="Which ONNX export is downloaded.")] = "int8"
    g2p: Literal["auto", "espeak", "misaki"] = "auto"
    """Who pronounces; ``auto``: Misaki where it and what it needs is installed, else espeak-ng."""
    model_dir: str | None = None
    """Folder of the owner's own weights and voices."""


class KokoroSynthesizer(Synthesizer[KokoroOptions]):
    """Kokoro-82M with its 54 voices."""

    info = ProviderInfo(
        name="kokoro",
        title="Kokoro",
        licence="MIT AND GPL-3.0-or-later",
        homepage="https://github.com/hexgrad/kokoro",
        env_prefix="KOKORO_",
        environment=hub.ENVIRONMENT,
    )
    capabilities = Capabilities(
        streaming=True,
        speed_control=True,
        voice_blend=True,
        word_timestamps=True,
        languages=tuple(language.tag for language in LANGUAGES.values()),
    )
    Options = KokoroOptions
    openai_voices = OPENAI
    aliases = MappingProxyType({"kokoro-82m": ID, TORCH_REPO: ID, ONNX_REPO: ID})

    def models(self) -> tuple[Model, ...]:
        return (
            Model(
                id=ID,
                kind="synthesizer",
                rate=RATE,
                title="Kokoro 82M",
                languages=tuple(language.tag for language in LANGUAGES.values()),
                bytes=355_000_000
                if self._wants_torch
                else 354_000_000
                if self.options.weights != "int8"
                else 121_000_000,
                licence="Apache-2.0",
                revision=REVISIONS[TORCH_REPO if self._wants_torch else ONNX_REPO],
                memory_mb=900 if self._wants_torch else 600,
                span_s=None,
            ),
        )

    def voices(self, model: Model) -> tuple[Voice, ...]:
        """List the voices whose packs are here, the owner's own last; all of the release while there are none."""
        here = self._here()
        known = [name for name in NAMES if name in here] or ([] if here else list(NAMES))
        return tuple(describe(name) for name in (*known, *sorted(here.difference(NAMES))))

    def check_voice(self, model: Model, voice: str) -> None:
        """Take a voice of the release or of the owner's, or a blend of them."""
        known = {*NAMES, *self._here()}
        for name, _share in parse_blend(voice):
            if name not in known:
                near = ", ".join(_near(name, known))
                raise VoiceNotFound(f"model {model.id!r} has no voice {name[:100]!r}; it has {near}", param="voice")

    def artifacts(self, model: Model) -> Artifacts:
        """Say what is here; the packages' voices, few and Japanese, count only where no others will come."""
        places = self._places()
        voices = files.packs(places) or files.archived(places, packaged=hub.is_offline(os.environ))
        own = ("onnx", files.VOICES_FOLDER, files.TORCH_WEIGHTS, files.TORCH_CONFIG, self._partial.name)
        there = [str(path) for name in own if (path := self.home / name).exists()]
        there += [str(file) for file in files.onnx_files(self.home) if file.parent == self.home]
        return Artifacts(paths=tuple(there), complete=bool(voices and self._weights(places)))

    def download(self, model: Model, context: Context) -> None:
        """Fetch the weights, unless they are here, and the voices; then move them into place, the weights last."""
        repo, weights, suffix = TORCH_REPO, [files.TORCH_CONFIG, files.TORCH_WEIGHTS], ".pt"
        if not self._wants_torch:
            repo, weights, suffix = ONNX_REPO, [ONNX_DOWNLOADS[self.options.weights]], ".bin"
        if self._weights(self._places()):
            weights = []
        here = self._here()
        packs = [f"{files.VOICES_FOLDER}/{name}{suffix}" for name in NAMES if name not in here]
        if not weights and not packs:
            return
        wanted, required = (*packs, *weights), (*packs[:1], *weights)
        hub.fetch(repo, wanted, self._partial, context, required=required, revision=REVISIONS[repo])
        for file in wanted:
            if (fetched := self._partial / file).is_file():
                (self.home / file).parent.mkdir(parents=True, exist_ok=True)
                fetched.replace(self.home / file)
        shutil.rmtree(self._partial, ignore_errors=True)

    def load(self, spec: LoadSpec) -> SynthesizerEngine:
        from .engine import KokoroEngine
        from .packs import Packs
        from .phonemes import FrontEnds

        places = (*([Path(spec.path)] if spec.path else []), *self._places())
        packs = Packs(places)
        weights = self._weights(places, spec.device)
        if not weights or not packs.names:
            raise WeightsMissing(
                f"the {'voices' if weights else 'weights'} of {spec.model.id!r} are not on this machine; "
                f"fetch them with: open-speech models download {spec.model.id}"
            )
        front_ends = FrontEnds(self.options.g2p)
        front_ends.report()
        return KokoroEngine(self._load_runtime(weights, spec), packs, front_ends)

    def _load_runtime(self, weights: Sequence[Path], spec: LoadSpec) -> Runtime:
        if weights[0].suffix != ".pth":
            from .onnx_runtime import load_onnx

            return load_onnx(weights, spec)
        if find_spec("kokoro") is None or find_spec("torch") is None:
            raise LoadFailed("weights for torch are here, but not its package; install open-speech-kokoro[torch]")
        from .torch_runtime import load_torch

        return load_torch(weights, spec)

    @property
    def _wants_torch(self) -> bool:
        return self.options.runtime == "torch"

    @property
    def _partial(self) -> Path:
        return self.home / ".kokoro.part"

    def _places(self) -> tuple[Path, ...]:
        """Give the folders in which weights and voices may lie, the likeliest first."""
        cache = hub.cache_folder(os.environ)
        wanted = (
            (ONNX_REPO, list(ONNX_DOWNLOADS.values())[:1]),
            (TORCH_REPO, [files.TORCH_WEIGHTS, files.TORCH_CONFIG]),
        )
        snapshots = (hub.cached(cache, repo, names) for repo, names in wanted)
        own = (Path(self.options.model_dir),) if self.options.model_dir else ()
        return (*own, self.home, *(found for found in snapshots if found is not None))

    def _weights(self, places: Sequence[Path], device: str = "cpu") -> tuple[Path, ...]:
        """Find the weights of the runtime that is wanted; empty when they are not here."""
        onnx = next(filter(None, map(files.onnx_files, places)), ()) or files.packaged_onnx()
        torch = next(filter(None, map(files.torch_files, places)), ())
        if self.options.runtime == "onnx":
            return onnx
        return torch if self._wants_torch or (torch and self._has_gpu(device)) else onnx or torch

    def _has_gpu(self, device: str) -> bool:
        """Say whether torch would run on a GPU, which takes importing it; only workers that load ask."""
        if device == "cpu" or find_spec("kokoro") is None or find_spec("torch") is None:
            return False
        import torch

        return bool(torch.cuda.is_available())

    def _here(self) -> frozenset[str]:
        """Name the voices whose packs are on this machine."""
        places = self._places()
        return frozenset((*files.packs(places), *files.archived(places)))


def _near(name: str, known: set[str]) -> list[str]:
    """Give the voices that are spelt most alike, else the first of all."""
    import difflib

    return difflib.get_close_matches(name, sorted(known), n=5, cutoff=0.5) or [*NAMES[:NEAR]]
