"""Weights are put into place as a whole: killed at any moment, a model is the old one, the new one, or not there."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from api.bundling import sha256
from open_speech_api.bundles.manifest import BadBundle, BundledModel, File, Manifest
from open_speech_api.bundles.placing import STAGE, lacking, place, sweep

OLD, NEW = "old", "new"
PARTS = ("voice.onnx.json", "voice.onnx", "folder")
FILES = ("voice.onnx.json", "voice.onnx", "folder/a.bin", "folder/inner/b.bin")
KILLED = """
import os, signal, sys
from pathlib import Path
from api.test_bundle_placing import bundle_of
from open_speech_api.bundles.placing import place

left = int(sys.argv[2])

def look(event, arguments):
    global left
    if event in ("os.rename", "os.mkdir", "os.rmdir", "os.remove", "shutil.rmtree") or (
        event == "open" and ".bundle" in str(arguments[0])
    ):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

top = Path(sys.argv[1])
manifest = bundle_of(top / "bundle")
sys.addaudithook(look)
place(top / "bundle", manifest, list(manifest.models), top / "models", lambda done, total: None)
"""


def fill(folder: Path, text: str) -> None:
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{text} {name}")


def bundle_of(folder: Path) -> Manifest:
    """Give the manifest of a bundle with one model of several files."""
    weights = folder / "weights" / "tester"
    if not weights.exists():
        fill(weights, NEW)
    files = [
        File(
            path=f"weights/tester/{name}",
            kind="weights",
            sha256=sha256(weights / name),
            bytes=(weights / name).stat().st_size,
        )
        for name in FILES
    ]
    model = BundledModel(id="voice", kind="synthesizer", provider="tester", paths=PARTS)
    return Manifest(created="", made_by="", python="3.11", platform="", models=(model,), files=tuple(files))


def put(top: Path) -> None:
    manifest = bundle_of(top / "bundle")
    place(top / "bundle", manifest, lacking(manifest, top / "models"), top / "models", lambda done, total: None)


def found(home: Path) -> set[str]:
    """Say which versions of the model's parts are in place."""
    parts = [home / name for name in FILES]
    return {path.read_text().split()[0] if path.exists() else "" for path in parts}


@pytest.mark.parametrize("before", [False, True])
def test_killed_at_every_step_nothing_is_mixed(tmp_path: Path, before: bool) -> None:
    for steps in range(200):
        top = tmp_path / str(steps)
        home = top / "models" / "tester"
        home.mkdir(parents=True)
        if before:
            fill(home, OLD)
        (home / "theirs.bin").write_text("of another model")
        done = subprocess.run([sys.executable, "-c", KILLED, str(top), str(steps)], cwd=Path(__file__).parents[1])
        assert not {OLD, NEW} <= found(home), f"old and new at step {steps}"
        assert (home / "theirs.bin").read_text() == "of another model"
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        sweep(top / "models")
        assert not (home / STAGE).exists()
        put(top)
        assert found(home) == {NEW}
    assert steps > 15
    assert found(home) == {NEW}
    assert not (home / STAGE).exists()


def test_what_is_here_already_is_left_alone(tmp_path: Path) -> None:
    put(tmp_path)
    home = tmp_path / "models" / "tester"
    before = {path: path.stat().st_ino for path in home.rglob("*")}
    assert lacking(bundle_of(tmp_path / "bundle"), tmp_path / "models") == []
    put(tmp_path)
    assert {path: path.stat().st_ino for path in home.rglob("*")} == before
    (home / "folder" / "a.bin").write_text("new folder/b.bin")
    assert [model.id for model in lacking(bundle_of(tmp_path / "bundle"), tmp_path / "models")] == ["voice"]


def test_a_file_that_changed_since_it_was_verified_is_not_put_in_force(tmp_path: Path) -> None:
    fill(tmp_path / "models" / "tester", OLD)
    manifest = bundle_of(tmp_path / "bundle")
    (tmp_path / "bundle" / "weights" / "tester" / "voice.onnx").write_text("bad voice.onnx")
    with pytest.raises(BadBundle, match="changed while the bundle was installed"):
        place(tmp_path / "bundle", manifest, list(manifest.models), tmp_path / "models", lambda done, total: None)
    assert found(tmp_path / "models" / "tester") == {OLD}


def test_where_the_swap_fails_the_old_files_are_back(tmp_path: Path) -> None:
    home = tmp_path / "models" / "tester"
    fill(home, OLD)
    manifest = bundle_of(tmp_path / "bundle")
    # A part that cannot be put where it belongs: a file of somebody else's is on the way.
    (home / "taken").write_text("theirs")
    (model,) = manifest.models
    weights = tmp_path / "bundle" / "weights" / "tester" / "taken" / "c.bin"
    weights.parent.mkdir()
    weights.write_text("new c.bin")
    more = File(path="weights/tester/taken/c.bin", kind="weights", sha256=sha256(weights), bytes=9)
    manifest = Manifest(
        created="",
        made_by="",
        python="3.11",
        platform="",
        models=(BundledModel(id="voice", kind=model.kind, provider="tester", paths=(*PARTS, "taken/c.bin")),),
        files=(*manifest.files, more),
    )
    with pytest.raises(OSError, match=r"taken|Not a directory|exists"):
        place(tmp_path / "bundle", manifest, list(manifest.models), tmp_path / "models", lambda done, total: None)
    assert found(home) == {OLD}
    assert (home / "taken").read_text() == "theirs"
