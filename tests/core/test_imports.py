"""What is in memory after discovery, and after the server's modules were imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from open_speech_core.testing.plugin import HEAVY

DISCOVER = """
from open_speech_core.plugins import discover
for plugin in discover().plugins:
    assert plugin.error is None, plugin
"""
SERVER = {
    "discovery of all that is installed": DISCOVER,
    "the registry and its questions": DISCOVER
    + """
from pathlib import Path
from tempfile import gettempdir
from open_speech_core.registry import build_registry
from open_speech_core.types import KINDS
registry = build_registry(discover(), environ={}, data_dir=Path(gettempdir(), "open-speech-nothing"))
for kind in KINDS:
    for found in registry.models(kind):
        registry.voices(found), registry.on_disk(found)
    registry.default(kind, None)
""",
    "the protocol and the errors": "import open_speech_core.worker.protocol, open_speech_core.errors",
    "the runner's imports, without audio": "import open_speech_core.worker.engines",
}


def loaded_by(code: str) -> set[str]:
    command = [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize("what", SERVER)
def test_the_server_s_side_imports_nothing_heavy(what: str) -> None:
    assert loaded_by(SERVER[what]) & HEAVY == set()


def test_the_check_would_see_a_heavy_import() -> None:
    assert "numpy" in loaded_by("import open_speech_core.audio") & HEAVY


def test_the_server_s_application_imports_nothing_heavy() -> None:
    pytest.importorskip("open_speech_api.app")
    assert loaded_by(f"{DISCOVER}\nimport open_speech_api.app, open_speech_api.cli") & HEAVY == set()
