"""Every folder builds a wheel that holds what a person needs after `pip install`."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = [
    "core",
    "static",
    "api",
    *sorted(f"plugins/{p.parent.name}" for p in ROOT.glob("plugins/*/pyproject.toml")),
]
APART = {"qwen"}
"""Plugins whose libraries hold back those of others."""

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Wheel:
    names: frozenset[str]
    metadata: str
    entry_points: str


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Wheel]:
    """Build all wheels once, without the network."""
    out = tmp_path_factory.mktemp("wheels")
    folders = [str(ROOT / folder) for folder in FOLDERS]
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(out),
    ]
    subprocess.run([*command, *folders], check=True)
    return {path.name.split("-")[0]: _read(path) for path in out.glob("*.whl")}


def _read(path: Path) -> Wheel:
    with ZipFile(path) as archive:
        names = frozenset(archive.namelist())

        def text(name: str) -> str:
            found = [n for n in names if n.endswith(f".dist-info/{name}")]
            return archive.read(found[0]).decode() if found else ""

        return Wheel(names=names, metadata=text("METADATA"), entry_points=text("entry_points.txt"))


def _package(folder: str) -> str:
    return f"open_speech_{Path(folder).name}"


def test_every_folder_builds_the_distribution_of_its_name(wheels: dict[str, Wheel]) -> None:
    assert set(wheels) == {_package(folder) for folder in FOLDERS}


@pytest.mark.parametrize("folder", FOLDERS)
def test_wheel_holds_its_whole_package_and_nothing_else(wheels: dict[str, Wheel], folder: str) -> None:
    package = _package(folder)
    source = ROOT / folder / package
    files = {
        path.relative_to(source.parent).as_posix()
        for path in source.rglob("*")
        if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(source).parts)
    }
    packed = {name for name in wheels[package].names if ".dist-info/" not in name}
    assert packed == files
    assert f"{package}/py.typed" in packed


@pytest.mark.parametrize("folder", FOLDERS)
def test_metadata_names_licence_python_and_readme(wheels: dict[str, Wheel], folder: str) -> None:
    metadata = Parser().parsestr(wheels[_package(folder)].metadata)
    assert "MIT" in metadata["License-Expression"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert str(metadata.get_payload()).startswith("# ")
    direct = [line for line in metadata.get_all("Requires-Dist", []) if "@" in line]
    assert not direct, "only the root may refer to folders"


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder.startswith("plugins/")])
def test_plugin_is_found_by_its_entry_point(wheels: dict[str, Wheel], folder: str) -> None:
    package = _package(folder)
    assert wheels[package].entry_points.split() == ["[open_speech]", Path(folder).name, "=", package]


def test_api_brings_the_command(wheels: dict[str, Wheel]) -> None:
    assert "open-speech = open_speech_api.cli:main" in wheels["open_speech_api"].entry_points


def test_static_brings_both_pages(wheels: dict[str, Wheel]) -> None:
    pages = {"web/index.html", "web/app.js", "web/style.css", "docs/index.html", "docs/init.js"}
    assert {f"open_speech_static/{page}" for page in pages} <= wheels["open_speech_static"].names


def test_root_offers_every_plugin_as_an_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    plugins = {Path(folder).name for folder in FOLDERS if folder.startswith("plugins/")}
    assert plugins <= set(extras)
    together = {f"open-speech-{name}" for name in plugins - APART}
    assert {line.split(" @ ")[0].partition("[")[0] for line in extras["all"]} >= together


def test_every_plugin_has_a_trial_of_its_own_in_a_clean_environment() -> None:
    """`nox -s alone` runs them; they install from a package index, and so are no part of the tests."""
    listed = subprocess.run(
        [sys.executable, "-m", "tests.alone", "--list"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert sorted(listed.stdout.split()) == [Path(each).name for each in FOLDERS if each.startswith("plugins/")]
