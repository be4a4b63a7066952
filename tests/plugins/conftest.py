"""Real speech as samples, real weights, and a runner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from open_speech_core.types import Float32, Kind, ModelSource
from plugins.bench import Bench, decode


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


@pytest.fixture(scope="session")
def jfk(data: Path) -> Float32:
    """Eleven seconds of a man's speech, 16 kHz."""
    return decode(data / "speech" / "jfk.flac")


@pytest.fixture(scope="session")
def telephone(data: Path) -> Float32:
    """Thirty seconds of a telephone call; nobody speaks before 6.7 s."""
    return decode(data / "speech" / "sample.wav")


@pytest.fixture(scope="session")
def source() -> Callable[[Kind], ModelSource]:
    """Give the weights the starter ships for a kind."""
    starter = pytest.importorskip("open_speech_starter")
    return lambda kind: next(found for found in starter.open_speech_model_sources() if found.kind == kind)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home for Kokoro where neither packages nor the hub's cache have anything."""
    files = pytest.importorskip("open_speech_kokoro.files")
    monkeypatch.setattr(files, "PARTS", ("no_such_package",))
    monkeypatch.setattr(files, "PACKAGED_VOICES", ("no_such_package", "voices.npz"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "home"
