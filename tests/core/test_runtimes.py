"""What engines on the same library share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech_core.errors import Cancelled, LoadFailed
from open_speech_core.providers import Context
from open_speech_core.runtimes import onnx
from open_speech_core.runtimes.onnx import CPU, CUDA, choose_providers
from open_speech_core.runtimes.torch import cancelled_by, choose_device
from open_speech_core.types import LoadSpec, Model


def test_the_device_is_the_one_asked_for() -> None:
    assert choose_providers("auto", [CPU]) == [CPU]
    assert choose_providers("cpu", [CUDA, CPU]) == [CPU]
    assert choose_providers("auto", [CUDA, CPU])[0] == (
        CUDA, {"device_id": "0", "cudnn_conv_algo_search": "HEURISTIC"}
    )  # fmt: skip
    assert choose_providers("cuda:1", [CUDA, CPU])[0][1]["device_id"] == "1"  # type: ignore[index]
    for asked in ("cuda", "cuda:0", "tpu", "cuda:x"):
        with pytest.raises(LoadFailed, match=asked):
            choose_providers(asked, [CPU])


def test_torchs_device_is_the_one_asked_for() -> None:
    assert choose_device("auto", 0) == choose_device("cpu", 2) == "cpu"
    assert choose_device("auto", 1) == choose_device("cuda", 2) == "cuda:0"
    assert choose_device("cuda:1", 2) == "cuda:1"
    for asked, gpus in (("cuda", 0), ("cuda:0", 0), ("cuda:2", 2), ("tpu", 2), ("cuda:x", 2)):
        with pytest.raises(LoadFailed, match=asked):
            choose_device(asked, gpus)


def spec(**fields: Any) -> LoadSpec:
    return LoadSpec(model=Model(id="some/model", kind="synthesizer", rate=16_000), **fields)


@pytest.mark.parametrize("content", [b"", b"no graph"])
def test_what_is_no_model_is_said_so(content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "model.onnx").write_bytes(content)
    for model in (content, tmp_path / "model.onnx", tmp_path / "nothing.onnx"):
        with pytest.raises(LoadFailed, match="'some/model' could not be loaded"):
            onnx.open_session(model, spec())


def test_a_device_that_fell_back_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime without CUDA opens the session on the CPU, with a warning."""
    onnxruntime = pytest.importorskip("onnxruntime")
    graph = Path(pytest.importorskip("open_speech_silero").__file__).parent
    weights = next(iter(graph.rglob("*.onnx")), None)
    if weights is None:
        pytest.skip("the detector's weights are not here")
    session = onnx.open_session(weights, spec())
    assert onnx.device_of(session) == "cpu"
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"), pytest.raises(LoadFailed, match="could not use it"):
        onnx.open_session(weights, spec(device="cuda"))


ALONE = """
import sys
from open_speech_core.runtimes import onnx, torch
assert not {"onnxruntime", "torch", "torchaudio"} & set(sys.modules)
sys.path.insert(0, sys.argv[1])
torch.import_torchaudio()
import torchaudio
assert torchaudio.filters == "here"
"""
BROKEN = {
    "__init__.py": "from . import _extension\nfilters = 'here'\nassert not _extension._load_lib('x')\n",
    "_extension.py": "raise OSError('undefined symbol')\n",
}


def test_torchaudio_whose_extension_does_not_load_is_imported_without(tmp_path: Path) -> None:
    (tmp_path / "torchaudio").mkdir()
    for name, text in BROKEN.items():
        (tmp_path / "torchaudio" / name).write_text(text)
    subprocess.run([sys.executable, "-c", ALONE, str(tmp_path)], check=True, timeout=60)


@pytest.fixture(scope="module")
def session() -> Any:
    """The detector's model."""
    silero = pytest.importorskip("open_speech_silero.provider")
    return onnx.open_session(silero.WEIGHTS, spec())


@pytest.fixture(scope="module")
def inputs(session: Any) -> dict[str, Any]:
    shapes = {each.name: [dim if isinstance(dim, int) else 1 for dim in each.shape] for each in session.get_inputs()}
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


def test_nothing_runs_for_who_has_left(session: Any, inputs: dict[str, Any]) -> None:
    name = session.get_outputs()[0].name
    expected = session.run(None, inputs)
    context = Context()
    assert np.array_equal(onnx.run(session, inputs, context)[0], expected[0])
    context.cancel()
    with pytest.raises(Cancelled):
        onnx.run(session, inputs, context)
    assert np.array_equal(onnx.run(session, inputs, Context(), [name])[0], expected[0])


def test_a_run_that_fails_by_itself_says_why(session: Any) -> None:
    with pytest.raises(ValueError, match="missing"):
        onnx.run(session, {}, Context())


def test_a_lent_session_runs_for_the_caller_of_the_moment(session: Any, inputs: dict[str, Any]) -> None:
    lent = onnx.LentSession(session)
    gone = Context()
    gone.cancel()
    with pytest.raises(Cancelled), lent.within(gone):
        lent.run(None, inputs)
    assert np.array_equal(lent.run(None, inputs)[0], session.run(None, inputs)[0])
    assert [each.name for each in lent.get_outputs()] == [each.name for each in session.get_outputs()]


class Layer:
    """As one of torch: calls its hooks, then works."""

    def __init__(self) -> None:
        self.hooks: list[Any] = []

    def register_forward_pre_hook(self, hook: Any) -> Any:
        self.hooks.append(hook)
        layer = self

        class Handle:
            def remove(self) -> None:
                layer.hooks.remove(hook)

        return Handle()


def test_layers_are_watched_only_for_the_call() -> None:
    layers = [Layer(), Layer()]
    context = Context()
    with cancelled_by(context, layers):
        assert [len(layer.hooks) for layer in layers] == [1, 1]
        layers[1].hooks[0](layers[1], ())
        context.cancel()
        with pytest.raises(Cancelled):
            layers[1].hooks[0](layers[1], ())
    assert [layer.hooks for layer in layers] == [[], []]


def test_what_stops_a_library_is_called_once_and_only_within() -> None:
    called: list[str] = []
    context = Context()
    with context.on_cancel(lambda: called.append("over")):
        pass
    with context.on_cancel(lambda: called.append("within")):
        context.cancel()
        assert called == ["within"]
    with context.on_cancel(lambda: called.append("after")):
        assert called == ["within", "after"]
    context.cancel()
    assert called == ["within", "after"]
