"""What engines on the same library share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from open_speech_core.errors import LoadFailed
from open_speech_core.runtimes import onnx
from open_speech_core.runtimes.onnx import CPU, CUDA, choose_providers
from open_speech_core.runtimes.torch import choose_device
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
