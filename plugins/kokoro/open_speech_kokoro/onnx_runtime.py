"""The model on ONNX Runtime, from any of its exports."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from kokoro_onnx.config import DEFAULT_VOCAB
from kokoro_onnx.session import embedded_vocab, input_dtypes

from open_speech_core.errors import LoadFailed
from open_speech_core.providers import Context
from open_speech_core.runtimes import onnx
from open_speech_core.types import Float32, LoadSpec

from . import durations
from .packs import Pack
from .runtime import Rendered

TOKENS = ("input_ids", "tokens")


def load_onnx(files: Sequence[Path], spec: LoadSpec) -> OnnxRuntime:
    """Load an export, in one file or in parts. Raises ``LoadFailed``."""
    session = _open(b"".join(file.read_bytes() for file in files), spec)
    wanted = {each.name for each in session.get_inputs()}
    if not {"style", "speed"} <= wanted or not wanted & set(TOKENS):
        raise LoadFailed(f"the weights of {spec.model.id!r} are no export of Kokoro: they take {', '.join(wanted)}")
    return OnnxRuntime(session, device=onnx.device_of(session), compute_type=_compute_type(files))


def _open(model: bytes, spec: LoadSpec) -> Any:
    """Open a session, with the durations as an output where the export hides them in its graph."""
    if (tensor := durations.hidden_tensor(model)) is not None:
        # A name may be found that is no tensor of the graph's, which only ONNX Runtime can say.
        with contextlib.suppress(Exception):
            return onnx.open_session(durations.reveal(model, tensor), spec)
    return onnx.open_session(model, spec)


def _compute_type(files: Sequence[Path]) -> str:
    name = files[0].name
    if len(files) > 1 or "int8" in name or "quantized" in name:
        return "int8"
    return "float16" if "fp16" in name else "float32"


class OnnxRuntime:
    """One session; the library takes calls from several threads, we make one at a time."""

    def __init__(self, session: Any, *, device: str, compute_type: str) -> None:
        self._session = session
        self._types = input_dtypes(session)
        self._tokens = next(name for name in TOKENS if name in self._types)
        names = [each.name for each in session.get_outputs()]
        known = (durations.OUTPUT, *(name.decode() for name in durations.HIDDEN))
        self._duration = next((names.index(name) for name in known if name in names), None)
        self.vocab: Mapping[str, int] = embedded_vocab(session) or DEFAULT_VOCAB
        self.device = device
        self.compute_type = compute_type

    @property
    def has_durations(self) -> bool:
        return self._duration is not None

    def render(
        self, tokens: Sequence[int], pack: Pack, speed: float, context: Context, *, seed: int | None = None
    ) -> Rendered:
        style = pack[min(len(tokens), len(pack)) - 1]
        inputs = {
            self._tokens: np.array([[0, *tokens, 0]], self._types[self._tokens]),
            "style": style.astype(self._types["style"]),
            "speed": np.array([speed], self._types["speed"]),
        }
        outputs = onnx.run(self._session, inputs, context)
        samples: Float32 = np.asarray(outputs[0], np.float32).ravel()
        frames = None if self._duration is None else np.asarray(outputs[self._duration]).ravel()
        return Rendered(samples=samples, durations=frames)
