"""Sessions of ONNX Runtime, which must be required by the distribution of the plugin that opens them."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from open_speech_core.errors import LoadFailed
from open_speech_core.providers import Context
from open_speech_core.types import LoadSpec

log = logging.getLogger(__name__)

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"


def open_session(model: Path | bytes, spec: LoadSpec) -> Any:
    """Open a model whose inputs differ in length, on the device and with the threads that ``spec`` names.

    Raises ``LoadFailed``, also where ONNX Runtime would fall back from the device that was asked for.
    """
    providers = choose_providers(spec.device, _library().get_available_providers())
    options = _options(spec.threads, spins=spec.threads > 1)
    # A plan for each length only fills memory, and is no faster.
    options.enable_mem_pattern = False
    content = model if isinstance(model, bytes) else str(model)
    try:
        session = _library().InferenceSession(content, options, providers=providers)
    except Exception as error:  # fence: ONNX Runtime's errors share no base of their own
        log.exception("load of %s failed", spec.model.id)
        raise LoadFailed(f"{spec.model.id!r} could not be loaded; are its files whole?") from error
    if spec.device.startswith("cuda") and device_of(session) != "cuda":
        raise LoadFailed(f"device {spec.device!r} was asked for, but ONNX Runtime could not use it")
    return session


def open_small(model: bytes, threads: int = 1) -> Any:
    """Open a small model on the CPU: between its calls it keeps neither memory nor a core busy."""
    options = _options(threads, spins=False)
    options.enable_cpu_mem_arena = False
    return _library().InferenceSession(model, options, providers=[CPU])


def run(session: Any, inputs: Mapping[str, Any], context: Context, outputs: Sequence[str] | None = None) -> list[Any]:
    """Give a model's outputs; stop between two nodes of its graph once the caller has left. Raises ``Cancelled``."""
    options = _library().RunOptions()
    with context.on_cancel(lambda: setattr(options, "terminate", True)):
        try:
            return list(session.run(outputs, inputs, options))
        except Exception:  # fence: ONNX Runtime has no error of its own for this
            context.check()
            raise


class LentSession:
    """A session for a library that runs it by itself: one call at a time, which ends once its caller has left."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._context = Context()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    @contextmanager
    def within(self, context: Context) -> Iterator[None]:
        """Run for this caller."""
        before, self._context = self._context, context
        try:
            yield
        finally:
            self._context = before

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, Any]) -> list[Any]:
        """As ONNX Runtime's. Raises ``Cancelled``."""
        return run(self._session, inputs, self._context, outputs)


def device_of(session: Any) -> str:
    """Say where a session runs, ``cpu`` or ``cuda``."""
    return "cuda" if session.get_providers()[0] == CUDA else "cpu"


def choose_providers(device: str, available: Sequence[str]) -> list[str | tuple[str, dict[str, str]]]:
    """Give ONNX Runtime's providers for a device. Raises ``LoadFailed`` when it is not there."""
    name, _, number = device.partition(":")
    if name not in ("auto", "cpu", "cuda") or not (number or "0").isdecimal():
        raise LoadFailed(f"device {device!r} is unknown; this model runs on cpu, cuda or cuda:N")
    if name == "cpu" or (name == "auto" and CUDA not in available):
        return [CPU]
    if CUDA not in available:
        raise LoadFailed(f"device {device!r} was asked for, but the installed ONNX Runtime has no CUDA")
    return [(CUDA, {"device_id": number or "0", "cudnn_conv_algo_search": "HEURISTIC"}), CPU]


def _options(threads: int, *, spins: bool) -> Any:
    options = _library().SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spins else "0")
    return options


def _library() -> Any:
    return importlib.import_module("onnxruntime")
