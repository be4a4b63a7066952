"""A bundle is whole, or it is said what is wrong; nothing is installed from one that is not."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api.bundling import sha256
from api.test_cli import run, run_in_terminal, say

WEIGHTS = "weights/teller/org--teller/weights.bin"


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    """A bundle of one's own to change."""
    shutil.copytree(bundle, tmp_path / "copy")
    return tmp_path / "copy"


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a manifest."""
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def flip(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[1500] ^= 1
    (folder / WEIGHTS).write_bytes(data)


def link_file(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder.parent / "elsewhere.bin")
    (folder / WEIGHTS).symlink_to(folder.parent / "elsewhere.bin")


def link_folder(folder: Path) -> None:
    shutil.move(folder / "weights" / "teller", folder.parent / "elsewhere")
    (folder / "weights" / "teller").symlink_to(folder.parent / "elsewhere")


def set_path(path: str) -> Callable[[Path], None]:
    """Let the manifest name the weights by another path, where the same bytes lie if that can be."""

    def change(folder: Path) -> None:
        def rename(manifest: dict[str, Any]) -> None:
            (file,) = (each for each in manifest["files"] if each["path"] == WEIGHTS)
            file["path"] = path

        rewrite(folder, rename)

    return change


def set_value(*keys: str | int, to: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        def put(manifest: dict[str, Any]) -> None:
            place: Any = manifest
            for key in keys[:-1]:
                place = place[key]
            place[keys[-1]] = to

        rewrite(folder, put)

    return change


def add_option(folder: Path) -> None:
    """Let pip look at an index, with a digest that is right."""
    file = folder / "requirements" / "teller.txt"
    file.write_text(f"--index-url http://127.0.0.1:1\n{file.read_text()}")

    def change(manifest: dict[str, Any]) -> None:
        (entry,) = (each for each in manifest["files"] if each["kind"] == "requirements")
        entry |= {"sha256": sha256(file), "bytes": file.stat().st_size}

    rewrite(folder, change)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "one bit": (flip, f"'{WEIGHTS}' is damaged: its SHA-256 is another"),
    "cut short": (lambda folder: os.truncate(folder / WEIGHTS, 100), f"'{WEIGHTS}' has 100 bytes, not 3020"),
    "missing": (lambda folder: (folder / WEIGHTS).unlink(), f"'{WEIGHTS}' is missing"),
    "extra": (lambda folder: (folder / "wheels" / "more.whl").write_text("x"), "'wheels/more.whl' is not in the"),
    "a link": (link_file, f"'{WEIGHTS}' is a link or a device"),
    "a linked folder": (link_folder, "'weights/teller' is a link or a device"),
    "a pipe": (lambda folder: os.mkfifo(folder / "pipe"), "'pipe' is a link or a device"),
    "upwards": (set_path(f"{WEIGHTS}/../../../../../x"), "which is no plain path inside"),
    "upwards at once": (set_path("../x"), "names '../x', which is no plain path inside"),
    "absolute": (set_path("/etc/hostname"), "names '/etc/hostname', which is no plain path inside"),
    "a dot": (set_path("weights/teller/org--teller/./weights.bin"), "which is no plain path inside"),
    "a backslash": (set_path("weights/teller/org--teller\\weights.bin"), "which is no plain path inside"),
    "a NUL": (set_path("weights/teller/org--teller/a\0b"), "which is no plain path inside"),
    "of no model": (set_path("weights/teller/else/weights.bin"), "has weights 'weights/teller/else/weights.bin' of no"),
    "in a wrong place": (set_path("wheels/weights.bin"), "has 'wheels/weights.bin' in the wrong place"),
    "twice": (lambda folder: rewrite(folder, lambda all: all["files"].append(all["files"][0])), "twice"),
    "twice but for capitals": (set_path("weights/teller/org--teller/Config.json"), "twice"),
    "a model's way out": (set_value("models", 0, "paths", to=["../../x"]), "names '../../x', which is no plain"),
    "a model's whole home": (set_value("models", 0, "paths", to=["."]), "names '.', which is no plain path inside"),
    "a model of nobody": (set_value("models", 0, "provider", to="nobody"), "has a model of 'nobody'"),
    "a provider's way out": (set_value("providers", 0, "name", to="../x"), "at `$.providers[0].name`"),
    "other requirements": (set_value("providers", 0, "requirements", to="/etc/passwd"), "lacks the requirements of"),
    "an option for pip": (add_option, "teller.txt holds '--index-url http://127.0.0.1:1', which is no pinned"),
    "a newer format": (set_value("format", to=2), "the bundle has format 2; this version of open-speech reads 1"),
    "no format": (lambda folder: rewrite(folder, lambda all: all.pop("format")), "manifest.json is no manifest"),
    "no JSON": (lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe"), "manifest.json is no manifest"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "is no bundle: it has no manifest.json"),
    "a python": (set_value("python", to="3.7"), "the bundle is for Python 3.7, and none is on this machine"),
    "a platform": (
        set_value("platform", to="macosx_14_0_arm64" if sys.platform == "linux" else "manylinux_2_28_x86_64"),
        "; this machine is ",
    ),
}
OF_ANOTHER_MACHINE = ("a python", "a platform")


@pytest.mark.parametrize("what", [name for name in BROKEN if name not in OF_ANOTHER_MACHINE])
def test_verify_says_what_is_wrong(copy: Path, tmp_path: Path, what: str) -> None:
    spoil, message = BROKEN[what]
    spoil(copy)
    done = run(tmp_path, "bundle", "verify", "copy")
    assert done.returncode == 1
    assert message in say(done)
    assert "Traceback" not in say(done)
    assert done.stdout == b""


@pytest.mark.parametrize("what", BROKEN)
def test_install_refuses_before_anything_changes(copy: Path, tmp_path: Path, what: str) -> None:
    spoil, message = BROKEN[what]
    spoil(copy)
    done = run(tmp_path, "bundle", "install", "copy")
    assert done.returncode == 1
    assert message in say(done)
    assert not (tmp_path / "data").exists()


def test_all_problems_are_named_at_once(copy: Path, tmp_path: Path) -> None:
    flip(copy)
    (copy / "extra.txt").write_text("x")
    (copy / "LICENCES.txt").unlink()
    said = say(run(tmp_path, "bundle", "verify", "copy")).splitlines()
    assert said[0] == "Error: the bundle is not whole:"
    assert len(said) == 4


def test_a_whole_bundle_is_called_so(bundle: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in bundle.rglob("*")}
    done = run(tmp_path, "bundle", "verify", str(bundle))
    digest = sha256(bundle / "manifest.json")
    assert (done.returncode, done.stdout.decode()) == (0, f"{digest}\n")
    assert "provider teller 1.0, model org/teller (CC0-1.0); 5 wheels" in say(done)
    assert {path: path.stat().st_mtime_ns for path in bundle.rglob("*")} == before
    assert run(tmp_path, "bundle", "verify", str(bundle), "--digest", digest.upper()).returncode == 0


@pytest.mark.parametrize("command", ["verify", "install"])
def test_another_bundle_is_told_by_its_digest(copy: Path, tmp_path: Path, command: str) -> None:
    digest = sha256(copy / "manifest.json")
    rewrite(copy, lambda manifest: manifest.update(created="later"))
    done = run(tmp_path, "bundle", command, "copy", "--digest", digest)
    assert done.returncode == 1
    assert f"not {digest}: it is another bundle" in say(done)
    assert not (tmp_path / "data").exists()


def test_a_terminal_sees_the_bytes_go_by(bundle: Path, tmp_path: Path) -> None:
    code, shown = run_in_terminal(tmp_path, "bundle", "verify", str(bundle))
    assert code == 0
    assert "Checking the bundle" in shown
    assert " MB" in shown


def test_a_wheel_that_does_not_fit_is_named(copy: Path, tmp_path: Path) -> None:
    (wheel,) = (copy / "wheels").glob("msgspec-*")
    other = wheel.rename(copy / "wheels" / "msgspec-0.22.0-cp311-cp311-manylinux_2_99_x86_64.whl")

    def change(manifest: dict[str, Any]) -> None:
        (file,) = (each for each in manifest["files"] if each["path"].endswith(wheel.name))
        file["path"] = f"wheels/{other.name}"

    rewrite(copy, change)
    done = run(tmp_path, "bundle", "install", "copy")
    assert done.returncode == 1
    assert f"{other.name} does not run on this machine, which is " in say(done)
    assert not (tmp_path / "data").exists()
