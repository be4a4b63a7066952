"""The model on ONNX Runtime, from any of its exports."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from kokoro_onnx.config import DEFAULT_VOCAB
from kokoro_onnx.session import embedded_vocab, input_dtypes

from open_speech_core.errors import LoadFailed
from open_speech_core.types import Float32, LoadSpec

from . import durations
from .packs import Pack
from .runtime import Rendered

log = logging.getLogger(__name__)

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TOKENS = ("input_ids", "tokens")


def load_onnx(files: Sequence[Path], spec: LoadSpec) -> OnnxRuntime:
    """Load an export, in one file or in parts. Raises ``LoadFailed``."""
    providers = choose_providers(spec.device, onnxruntime.get_available_providers())
    try:
        session = _open(b"".join(file.read_bytes() for file in files), _session_options(spec.threads), providers)
    except Exception as error:  # fence: ONNX Runtime's errors share no base of their own
        log.exception("load of %s failed", spec.model.id)
        raise LoadFailed(f"{spec.model.id!r} could not be loaded; are its files whole?") from error
    on_gpu = session.get_providers()[0] == CUDA
    if spec.device.startswith("cuda") and not on_gpu:
        raise LoadFailed(f"device {spec.device!r} was asked for, but ONNX Runtime could not use it")
    wanted = {each.name for each in session.get_inputs()}
    if not {"style", "speed"} <= wanted or not wanted & set(TOKENS):
        raise LoadFailed(f"the weights of {spec.model.id!r} are no export of Kokoro: they take {', '.join(wanted)}")
    return OnnxRuntime(session, device="cuda" if on_gpu else "cpu", compute_type=_compute_type(files))


def _open(model: bytes, options: onnxruntime.SessionOptions, providers: Any) -> Any:
    """Open a session, with the durations as an output where the export hides them in its graph."""
    if (tensor := durations.hidden_tensor(model)) is not None:
        # A name may be found that is no tensor of the graph's, which only ONNX Runtime can say.
        with contextlib.suppress(Exception):
            return onnxruntime.InferenceSession(durations.reveal(model, tensor), options, providers=providers)
    return onnxruntime.InferenceSession(model, options, providers=providers)


def choose_providers(device: str, available: Sequence[str]) -> list[str | tuple[str, dict[str, str]]]:
    """Give ONNX Runtime's providers for a device. Raises ``LoadFailed`` when it is not there."""
    name, _, number = device.partition(":")
    if name not in ("auto", "cpu", "cuda") or not (number or "0").isdecimal():
        raise LoadFailed(f"device {device!r} is unknown; Kokoro runs on cpu, cuda or cuda:N")
    if name == "cpu" or (name == "auto" and CUDA not in available):
        return [CPU]
    if CUDA not in available:
        raise LoadFailed(f"device {device!r} was asked for, but the installed ONNX Runtime has no CUDA")
    return [(CUDA, {"device_id": number or "0", "cudnn_conv_algo_search": "HEURISTIC"}), CPU]


def _session_options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Texts differ in length: a plan a shape only fills memory, and is no faster.
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if threads > 1 else "0")
    return options


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

    def render(self, tokens: Sequence[int], pack: Pack, speed: float, seed: int | None = None) -> Rendered:
        style = pack[min(len(tokens), len(pack)) - 1]
        outputs = self._session.run(
            None,
            {
                self._tokens: np.array([[0, *tokens, 0]], self._types[self._tokens]),
                "style": style.astype(self._types["style"]),
                "speed": np.array([speed], self._types["speed"]),
            },
        )
        samples: Float32 = np.asarray(outputs[0], np.float32).ravel()
        frames = None if self._duration is None else np.asarray(outputs[self._duration]).ravel()
        return Rendered(samples=samples, durations=frames)
