"""Weights that are a file of the plugin's own package."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from open_speech_core.errors import LoadFailed, WeightsMissing
from open_speech_core.shipped import read_weights


def test_only_what_was_shipped_is_read(tmp_path: Path) -> None:
    file, sha256 = tmp_path / "weights.onnx", hashlib.sha256(b"weights").hexdigest()
    with pytest.raises(WeightsMissing, match="'some-model' are missing: install open-speech-some again"):
        read_weights(file, sha256=sha256, id="some-model", distribution="open-speech-some")
    file.write_bytes(b"weightt")
    with pytest.raises(LoadFailed, match="'some-model' are damaged: install open-speech-some again"):
        read_weights(file, sha256=sha256, id="some-model", distribution="open-speech-some")
    file.write_bytes(b"weights")
    assert read_weights(file, sha256=sha256, id="some-model", distribution="open-speech-some") == b"weights"
