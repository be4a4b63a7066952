"""Discovery: a bad plugin is named with its reason and harms nobody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from open_speech_core.plugins import discover

REASONS = {
    "fails_to_import": "import failed: ImportError: no module named libcuda",
    "exits_at_import": "import failed: SystemExit: wrong Python",
    "misspells_hook": "unknown hook 'open_speech_register_transcribors'; known hooks: ",
    "hook_not_marked": "open_speech_register_transcribers is not marked with @hookimpl",
    "hook_takes_more": "hooks do not fit: ",
    "raises_in_hook": "open_speech_register_transcribers failed: RuntimeError: no licence key",
    "gives_no_class": "gave 'whisper', which is not a Provider class",
    "source_is_a_path": "gave '/models/tiny', which is not a ModelSource",
    "other_api": "is written for API 2.0; this core has 1.0. It wants open-speech-core 2.x",
    "other_kind": "Broken is no transcriber",
    "no_info": "Broken is no transcriber, or has no info",
    "no_load": "Broken lacks load",
    "takes_route_field": "'temperature' is the name of a request field",
    "option_is_a_map": "'weights' has a type that options may not have",
    "option_is_required": "'token' has no default",
}


@pytest.mark.parametrize(("name", "reason"), REASONS.items())
def test_a_plugin_that_cannot_be_used_is_named_with_the_reason(
    name: str, reason: str, broken: Callable[[str], str]
) -> None:
    found = discover([broken(name), "open_speech_echo"])
    bad, good = found.plugins
    assert bad.error is not None
    assert reason in bad.error
    assert good.error is None
    assert {offered.cls.info.name for offered in found.providers} == {"echo"}
    assert len(found.providers) == 5


@pytest.mark.parametrize("name", REASONS)
def test_a_plugin_that_was_skipped_gets_no_events(name: str, broken: Callable[[str], str]) -> None:
    found = discover([broken(name)])
    assert found.manager.get_plugins() == set()


def test_a_module_that_is_not_there_is_reported() -> None:
    (plugin,) = discover(["open_speech_nobody"]).plugins
    assert plugin.error == "import failed: ModuleNotFoundError: No module named 'open_speech_nobody'"


def install(folder: Path, name: str, module: str) -> None:
    """Write what an installer leaves: metadata with an entry point."""
    info = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[open_speech]\n{name} = {module}\n")


def test_installed_plugins_are_found_by_entry_point_in_order_of_their_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Callable[[str], str]
) -> None:
    install(tmp_path, "zz-other-api", broken("other_api"))
    install(tmp_path, "aa-broken", broken("fails_to_import"))
    monkeypatch.syspath_prepend(str(tmp_path))
    found = {record.distribution: record for record in discover().plugins}
    assert list(found) == sorted(found)
    assert found["aa-broken"].version == "1.2"
    assert found["aa-broken"].error is not None
    assert found["zz-other-api"].error is not None
    assert found["open-speech-echo"].error is None


def test_a_distribution_seen_twice_on_the_path_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        install(folder, "twice", "open_speech_nobody")
        monkeypatch.syspath_prepend(str(folder))
    assert sum(record.distribution == "twice" for record in discover().plugins) == 1


def test_a_module_given_by_name_is_described_by_its_entry_point() -> None:
    (plugin,) = discover(["open_speech_echo"]).plugins
    assert (plugin.name, plugin.distribution) == ("echo", "open-speech-echo")
    assert plugin.version != "0"
