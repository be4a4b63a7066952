"""``open-speech plugin new`` and ``check``: what is written installs, keeps every law and is served."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from api.calling import decoded, pitch, tone
from api.serving import Running, clean_environment
from open_speech_core.types import KINDS

pytest.importorskip("hatchling")

OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
COMMAND = "from open_speech_api.cli import main; main()"


def run(*command: str, path: Path | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    more = {} if path is None else {"PYTHONPATH": str(path)}
    environ = {**clean_environment(), **OFFLINE, **more}
    return subprocess.run([sys.executable, *command], env=environ, cwd=cwd, capture_output=True, text=True, check=False)


def open_speech(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    return run("-c", COMMAND, *arguments, path=path)


def installed(kind: str, folder: Path, change: tuple[str, str] | None = None) -> Path:
    """Write a plugin, perhaps break its engine, and install its wheel into a folder of its own; give that."""
    made = open_speech("plugin", "new", "my-engine", "--kind", kind, "--into", str(folder))
    assert made.returncode == 0, made.stderr
    if change is not None:
        engine = folder / "my-engine" / "open_speech_my_engine" / "engine.py"
        text = engine.read_text()
        assert change[0] in text
        engine.write_text(text.replace(*change))
    target = folder / "target"
    done = run("-m", "pip", "install", "-q", "--target", str(target), str(folder / "my-engine"))
    assert done.returncode == 0, done.stderr
    return target


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_keeps_every_law(kind: str, tmp_path: Path) -> None:
    target = installed(kind, tmp_path)
    checked = open_speech("plugin", "check", "my-engine", path=target)
    assert checked.returncode == 0, checked.stdout
    assert f"✓  {kind} my-engine:my-engine: " in checked.stdout
    assert "KB a call" in checked.stdout
    assert "✗" not in checked.stdout


def test_its_own_tests_pass(tmp_path: Path) -> None:
    target = installed("detector", tmp_path)
    own = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", path=target, cwd=tmp_path / "my-engine")
    assert "2 passed" in own.stdout, own.stdout


def test_its_voice_is_served(tmp_path: Path, start_server: Callable[..., Running]) -> None:
    target = installed("synthesizer", tmp_path)
    server = start_server(("open_speech_my_engine",), {"PYTHONPATH": _path(target), "MY_ENGINE_LEVEL": "0.25"})
    body = {"model": "my-engine", "voice": "high", "input": "one two three", "response_format": "wav"}
    samples, rate = decoded(server.client.post("/v1/audio/speech", json=body).raise_for_status().content)
    assert len(samples) / rate == pytest.approx(0.6, abs=0.01)
    assert pitch(samples, rate) == pytest.approx(440, abs=5)
    assert abs(samples).max() == pytest.approx(0.25, abs=0.01)
    refused = server.client.post("/v1/audio/speech", json={**body, "level": 2})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "level")


def test_its_ear_is_served(tmp_path: Path, start_server: Callable[..., Running]) -> None:
    target = installed("transcriber", tmp_path)
    server = start_server(("open_speech_my_engine",), {"PYTHONPATH": _path(target)})
    files = {"file": tone(2.0, amplitude=0.9)}
    answer = server.client.post("/v1/audio/transcriptions", files=files, data={"model": "my-engine"})
    assert answer.json() == {"text": "loud loud"}


def test_a_broken_law_is_named_and_the_exit_code_says_so(tmp_path: Path) -> None:
    target = installed("synthesizer", tmp_path, ("rate=RATE)", "rate=RATE // 2)"))
    checked = open_speech("plugin", "check", "open_speech_my_engine", path=target)
    assert checked.returncode == 1
    assert '✗  synthesizer my-engine:my-engine breaks "has the model\'s rate"' in checked.stdout


def test_only_what_is_asked_for_is_checked() -> None:
    checked = open_speech("plugin", "check", "echo", "--model", "echo-slow", "--calls", "0")
    assert checked.returncode == 0, checked.stderr
    assert "echo-slow" in checked.stdout
    assert "echo-voice" not in checked.stdout
    assert "not tried: keeps its memory: not asked for" in checked.stdout


def test_a_plugin_that_is_not_there_is_said_so() -> None:
    checked = open_speech("plugin", "check", "nobody")
    assert (checked.returncode, checked.stdout) == (1, "")
    assert "no plugin 'nobody' is installed" in checked.stderr


@pytest.mark.parametrize("name", ["My", "my engine", "../my", "class", "9lives", "", "a--b", "a" * 3 + "/b"])
def test_what_is_no_name_is_refused(name: str, tmp_path: Path) -> None:
    made = open_speech("plugin", "new", name, "--into", str(tmp_path))
    assert made.returncode == 1
    assert "is no name for a plugin" in made.stderr
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    made = open_speech("plugin", "new", "mine", "--into", str(tmp_path))
    assert made.returncode == 1
    assert "is there already" in made.stderr
    assert not list((tmp_path / "mine").iterdir())


def _path(target: Path) -> str:
    return os.pathsep.join([str(target), str(Path(__file__).parents[1])])
