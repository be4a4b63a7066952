"""The engine: one Pocket TTS model, one caller at a time."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from pocket_tts import TTSModel
from pocket_tts.utils.config import CONFIGS_DIR

from open_speech_core.audio import read
from open_speech_core.errors import FeatureNotSupported, InvalidAudio, LoadFailed, VoiceNotFound
from open_speech_core.providers import Context, SynthesizerEngine
from open_speech_core.runtimes.torch import cancelled_by
from open_speech_core.types import Audio, AudioIn, LoadSpec, SynthesizeRequest

from .provider import CLONING_WEIGHTS, CONFIG, GATED_REPO, RATE, STATES, TOKENIZER, WEIGHTS, PocketOptions
from .states import StateCache

log = logging.getLogger(__name__)

SHORTEST_S, LONGEST_S = 1.0, 30.0
"""Of a reference; what is longer is cut, as the library does."""
MB = 1_000_000


def load_engine(folder: Path, name: str, spec: LoadSpec, options: PocketOptions) -> PocketEngine:
    """Load the model whose files lie in a folder. Raises ``LoadFailed``."""
    # It logs what is spoken.
    logging.getLogger("pocket_tts").setLevel(logging.ERROR)
    if spec.device not in ("auto", "cpu"):
        raise LoadFailed(f"device {spec.device!r} was asked for; Pocket TTS runs on the CPU")
    torch.set_num_threads(max(1, spec.threads))
    try:
        model = _load(folder, name, options)
    except Exception as error:  # fence: torch, pydantic, safetensors and yaml each have errors of their own
        log.exception("load of %s failed", spec.model.id)
        raise LoadFailed(f"{spec.model.id!r} could not be loaded; are its files whole?") from error
    return PocketEngine(model, folder, options)


def _load(folder: Path, name: str, options: PocketOptions) -> TTSModel:
    with tempfile.TemporaryDirectory(prefix="open-speech-pocket-") as temporary:
        config = Path(temporary, CONFIG)
        config.write_text(yaml.safe_dump(_local(folder, name)))
        return TTSModel.load_model(config=config, temp=options.temperature, quantize=options.quantize)


def _local(folder: Path, name: str) -> dict[str, Any]:
    """Give a configuration whose files are those of the folder, so that nothing is fetched."""
    own = folder / CONFIG
    config: dict[str, Any] = yaml.safe_load((own if own.is_file() else CONFIGS_DIR / f"{name}.yaml").read_text())
    table = config["flow_lm"]["lookup_table"]
    if own.is_file():
        for place, key in ((config, "weights_path"), (table, "tokenizer_path")):
            if key in place:
                place[key] = str(_inside(folder, place[key]))
    else:
        weights = next(each for each in (CLONING_WEIGHTS, WEIGHTS) if (folder / each).is_file())
        config["weights_path"], table["tokenizer_path"] = str(folder / weights), str(folder / TOKENIZER)
    config.pop("weights_path_without_voice_cloning", None)
    return config


def _inside(folder: Path, said: object) -> Path:
    """Give a file of the owner's folder. Raises ``ValueError`` for a place elsewhere, which a hub's address is too."""
    path = (folder / str(said)).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise ValueError(f"{said!r} is no file beside {CONFIG}")
    return path


class PocketEngine(SynthesizerEngine):
    """The library's model is not thread-safe: one call at a time."""

    device = "cpu"

    def __init__(self, model: TTSModel, folder: Path, options: PocketOptions) -> None:
        self._model = model
        self._folder = folder
        self._clones = (folder / CONFIG).is_file() or (folder / CLONING_WEIGHTS).is_file()
        self.states = StateCache(options.voices_mb * MB)
        self.compute_type = "int8" if options.quantize else "float32"

    def synthesize(self, request: SynthesizeRequest, context: Context) -> Iterator[Audio]:
        text = request.text.replace("\0", " ")
        if not any(each.isalnum() for each in text):
            return
        with cancelled_by(context, self._model.modules()):
            state = self._state(request)
        if request.seed is not None:
            torch.manual_seed(request.seed)
        stop = threading.Event()
        stream = self._model.generate_audio_stream(state, text, stop=stop)
        try:
            for frame in stream:
                yield Audio(samples=np.clip(frame.numpy().reshape(-1), -1.0, 1.0).astype(np.float32), rate=RATE)
                context.check()
        finally:
            # Its threads end at the next frame.
            stop.set()
            stream.close()

    def close(self) -> None:
        self.states.clear()

    def _state(self, request: SynthesizeRequest) -> Any:
        if request.reference is not None:
            samples = _reference(request.reference)
            key = hashlib.sha256(samples.tobytes()).hexdigest()
            return self.states.get(key, lambda: self._cloned(samples))
        return self.states.get(f"voice {request.voice}", lambda: self._built_in(request.voice))

    def _cloned(self, samples: np.ndarray[Any, np.dtype[np.float32]]) -> Any:
        if not self._clones:
            raise FeatureNotSupported(
                f"these weights cannot clone: accept the terms of {GATED_REPO} on the hub, set HF_TOKEN, "
                "delete the model's weights and download them again",
                param="reference_audio",
            )
        return self._model.get_state_for_audio_prompt(torch.from_numpy(samples.copy())[None])

    def _built_in(self, voice: str) -> Any:
        folder = self._folder / STATES
        # A name from a request becomes no path: it must be one of what lies there.
        file = next((each for each in sorted(folder.glob("*.*")) if each.stem == voice), None)
        if file is None:
            raise VoiceNotFound(f"no voice {voice[:100]!r} lies here", param="voice")
        return self._model.get_state_for_audio_prompt(file, truncate=True)


def _reference(audio: AudioIn) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Give a reference, at most 30 s of it. Raises ``InvalidAudio``."""
    samples = read(audio)
    if len(samples) < SHORTEST_S * RATE:
        raise InvalidAudio(f"a reference of a voice must last at least {SHORTEST_S:g} s", param="reference_audio")
    if not np.any(np.abs(samples) > 1e-4):
        raise InvalidAudio("the reference is silent", param="reference_audio")
    return samples[: round(LONGEST_S * RATE)]
