"""The engine: one pipeline, one recording at a time."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from open_speech_core.audio import read
from open_speech_core.errors import InvalidAudio, LoadFailed
from open_speech_core.providers import Context, DiarizerEngine
from open_speech_core.runtimes.torch import cancelled_by, choose_device, import_torchaudio
from open_speech_core.types import AudioIn, DiarizeRequest, LoadSpec, SpeakerTurn

from .provider import RATE, PyannoteOptions

log = logging.getLogger(__name__)

SHORTEST_S = 0.1
"""Less is no speech."""
BATCH = 4
"""Windows computed between two looks for a cancel."""


def load_engine(folder: Path, spec: LoadSpec, options: PyannoteOptions) -> PyannoteEngine:
    """Load the pipeline whose files lie in a folder. Raises ``LoadFailed``."""
    torch.set_num_threads(max(1, spec.threads))
    try:
        device = torch.device(choose_device(spec.device))
        pipeline = _pipeline(folder)
        if pipeline is None:
            raise ValueError("the library gave no pipeline")
        pipeline.to(device)
    except LoadFailed:
        raise
    except Exception as error:  # fence: torch, lightning, yaml and the library each have errors of their own
        log.exception("load of %s failed", spec.model.id)
        raise LoadFailed(f"{spec.model.id!r} could not be loaded; are its files whole?") from error
    for name in ("segmentation_batch_size", "embedding_batch_size"):
        if hasattr(pipeline, name):
            setattr(pipeline, name, BATCH if device.type == "cpu" else 32)
    return PyannoteEngine(pipeline, device.type, options)


def _pipeline(folder: Path) -> Any:
    # Neither what is heard nor how often leaves this machine.
    os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
    import_torchaudio()
    from pyannote.audio import Pipeline

    return Pipeline.from_pretrained(folder)


class PyannoteEngine(DiarizerEngine):
    """The library's pipelines keep state while they work: one call at a time."""

    compute_type = "float32"

    def __init__(self, pipeline: Any, device: str, options: PyannoteOptions) -> None:
        self._pipeline = pipeline
        self._layers = _layers(pipeline)
        self._options = options
        self.device = device

    def diarize(self, request: DiarizeRequest, context: Context) -> Iterator[SpeakerTurn]:
        samples = read(request.audio)
        if len(samples) < SHORTEST_S * RATE or not samples.any():
            return
        found = self._run(samples, request.speakers, context)
        names = self._names(found, request, context)
        length_s = len(samples) / RATE
        turns = sorted(
            (max(0.0, span.start), min(length_s, span.end), str(label))
            for span, _, label in found.speaker_diarization.itertracks(yield_label=True)
        )
        for start, end, label in turns:
            if start < end:
                yield SpeakerTurn(start=start, end=end, speaker=names.get(label, label))

    def _run(self, samples: np.ndarray[Any, np.dtype[np.float32]], speakers: int | None, context: Context) -> Any:
        def hook(*_: Any, **__: Any) -> None:
            context.check()

        # Samples, never a path: the library would want torchcodec to read it.
        file = {"waveform": torch.from_numpy(np.array(samples, np.float32))[None], "sample_rate": RATE}
        with cancelled_by(context, self._layers):
            return self._pipeline(file, hook=hook, num_speakers=speakers)

    def _names(self, found: Any, request: DiarizeRequest, context: Context) -> Mapping[str, str]:
        """Give the labels of speakers who sound like known ones their names, each name once."""
        if not request.known or found.speaker_embeddings is None:
            return {}
        labels = list(found.speaker_diarization.labels())
        voices = np.stack([self._voice(known.audio, known.name, context) for known in request.known])
        alike = _normal(np.asarray(found.speaker_embeddings)[: len(labels)]) @ _normal(voices).T
        rows, columns = linear_sum_assignment(-alike)
        return {
            str(labels[row]): request.known[column].name
            for row, column in zip(rows, columns, strict=True)
            if alike[row, column] >= self._options.known_similarity
        }

    def _voice(self, audio: AudioIn, name: str, context: Context) -> np.ndarray[Any, Any]:
        found = self._run(read(audio), 1, context)
        if found.speaker_embeddings is None or not len(found.speaker_embeddings):
            message = f"no speech was heard in the reference of {name!r}"
            raise InvalidAudio(message, param="known_speaker_references")
        return np.asarray(found.speaker_embeddings[0])


def _layers(pipeline: Any) -> list[torch.nn.Module]:
    """Give the layers of the networks a pipeline keeps in its inferences."""
    parts = [getattr(pipeline, name, None) for name in ("_segmentation", "_embedding")]
    kept = [value for part in parts if part is not None for value in vars(part).values()]
    return [layer for model in kept if isinstance(model, torch.nn.Module) for layer in model.modules()]


def _normal(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Scale rows to length 1; what is not a number becomes nothing alike."""
    rows = np.nan_to_num(np.asarray(rows, np.float64))
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
