"""Our own catalogue says of each provider what its plugin says, and pins all that it needs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from open_speech_api.installs.catalogue import Entry, read_catalogue
from open_speech_core.plugins import discover
from open_speech_core.worker.engines import instantiate

ROOT = Path(__file__).parents[2]
ENTRIES = {entry.name: entry for entry in read_catalogue()}
PIN = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>\S+)( ; .+)? \\$")
RENEW = "renew it: nox -s catalogue"
LOCKS = {"qwen3": ("requirements-qwen.lock",)}
"""Of providers that are tested in an environment of their own."""


def plugin_folder(entry: Entry) -> Path:
    return ROOT / "plugins" / entry.distribution.removeprefix("open-speech-")


def project(folder: Path) -> dict[str, Any]:
    return dict(tomllib.loads((folder / "pyproject.toml").read_text())["project"])


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file: Path) -> dict[str, set[str]]:
    """Give the versions of each package that a file pins; a marker may choose between several."""
    found: dict[str, set[str]] = {}
    for line in file.read_text().splitlines():
        if match := re.match(r"^([A-Za-z0-9][\w.-]*)==([^\s;]+)", line):
            found.setdefault(normal(match[1]), set()).add(match[2])
    return found


def needed(entry: Entry) -> list[str]:
    """Name what the plugin and the core ask for, ours left out."""
    plugin = project(plugin_folder(entry))
    asked = [*project(ROOT / "core")["dependencies"], *plugin["dependencies"]]
    if entry.extra is not None:
        asked += plugin["optional-dependencies"][entry.extra]
    names = [normal(re.match(r"[\w.-]+", each)[0]) for each in asked]  # type: ignore[index]
    return [name for name in names if not name.startswith("open-speech")]


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_says_what_its_plugin_says(name: str) -> None:
    entry = ENTRIES[name]
    plugin = project(plugin_folder(entry))
    assert (plugin["name"], plugin["version"]) == (entry.distribution, entry.version)
    assert entry.module in plugin["entry-points"]["open_speech"].values()
    found = discover([entry.module])
    assert [record.error for record in found.plugins] == [None]
    own = [each.cls for each in found.providers if each.cls.info.name == name]
    assert {cls.kind for cls in own} == set(entry.kinds)
    assert {cls.info.licence for cls in own} == {entry.licence}
    listed = {model.id for cls in own for model in instantiate(cls, Path(), {}).models()}
    assert set(entry.models) <= listed
    assert entry.models
    aliases = {alias for cls in own for alias in cls.aliases}
    assert set(entry.aliases) >= aliases - {name, *entry.models}
    made = [instantiate(cls, Path(), {}) for cls in own]
    assert [alias for alias in entry.aliases if alias not in aliases and not any(m.resolve(alias) for m in made)] == []


@pytest.mark.parametrize("name", sorted(ENTRIES.keys() - {"resemblyzer"}))
def test_what_is_listed_is_fetched_at_a_commit(name: str) -> None:
    """Resemblyzer's weights are a file of a package, with its own digest."""
    providers = [each.cls for each in discover([ENTRIES[name].module]).providers]
    listed = [model for cls in providers for model in instantiate(cls, Path(), {}).models()]
    assert [model.id for model in listed if not re.fullmatch("[0-9a-f]{40}", model.revision)] == []


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_pins_with_hashes_all_that_its_plugin_needs(name: str) -> None:
    file = Path(ENTRIES[name].requirements)
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    assert lines, RENEW
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("    "):
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line), line
        else:
            assert PIN.match(line), line
            assert following.startswith("    --hash="), line
    assert set(needed(ENTRIES[name])) <= set(pins(file)), RENEW
    assert not [each for each in pins(file) if each.startswith("open-speech")], "ours come from the wheelhouse"


@pytest.mark.parametrize("name", ENTRIES)
def test_what_is_pinned_is_what_is_tested(name: str) -> None:
    tested: dict[str, set[str]] = {}
    for lock in LOCKS.get(name, ("requirements.lock", "requirements-engines.lock")):
        for package, versions in pins(ROOT / lock).items():
            tested.setdefault(package, set()).update(versions)
    pinned = pins(Path(ENTRIES[name].requirements))
    other = {package: versions for package, versions in pinned.items() if not versions <= tested.get(package, versions)}
    assert not other, RENEW


def test_the_entry_on_the_page_is_right(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "providers.md").read_text()
    (tmp_path / "catalogue.json").write_text(page.partition("```json\n")[2].partition("```")[0])
    (tmp_path / "morse.txt").touch()
    morse = next(entry for entry in read_catalogue(tmp_path / "catalogue.json") if entry.name == "morse")
    example = project(ROOT / "docs" / "examples" / "morse")
    assert (morse.distribution, morse.version) == (example["name"], example["version"])
    assert example["entry-points"]["open_speech"] == {"morse": morse.module}
