"""Weights that lie here, in whichever way, get to where their provider looks in the other machine's data folder."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from open_speech_api.bundles.manifest import BadBundle
from open_speech_api.bundles.weights import Collected, Collector
from open_speech_api.runtime.worker import Limits
from open_speech_api.runtime.workers import make_workers
from open_speech_core.plugins import Discovery, discover
from open_speech_core.registry import Registry, build_registry
from open_speech_core.types import Kind

TINY = "Systran/faster-whisper-tiny.en"
JOE = "piper/en_US-joe-medium"


class Quiet:
    """Nobody watches."""

    def say(self, line: str) -> None:
        raise AssertionError(f"it says {line!r}, so it fetches")

    def step(self, text: str) -> None:
        pass

    def count(self, done: float, total: float) -> None:
        pass


def registry_of(folder: Path, change: Callable[[Discovery], Discovery] = lambda found: found) -> Registry:
    found = change(discover(["open_speech_whisper", "open_speech_piper", "open_speech_starter"]))
    return build_registry(found, environ=dict(os.environ), data_dir=folder / "data")


def collect(folder: Path, registry: Registry, kind: Kind, id: str) -> Collected:
    async def work() -> Collected:
        make = make_workers(os.environ, Limits())
        collector = Collector(folder / "made" / "models", registry, make, os.environ)
        return await collector.collect(registry.resolve(kind, id), Quiet())

    return asyncio.run(work())


def files(found: Collected) -> set[str]:
    return {path.relative_to(found.home).as_posix() for path in found.home.rglob("*") if path.is_file()}


@pytest.mark.model
def test_what_packages_ship_is_put_where_providers_look(tmp_path: Path) -> None:
    pytest.importorskip("open_speech_starter")
    registry = registry_of(tmp_path)
    whisper = collect(tmp_path, registry, "transcriber", TINY)
    assert (whisper.model.licence, whisper.model.paths) == ("MIT", ("Systran--faster-whisper-tiny.en",))
    assert {"config.json", "model.bin", "tokenizer.json"} <= {Path(file).name for file in files(whisper)}
    piper = collect(tmp_path, registry, "synthesizer", JOE)
    assert piper.model.licence == "CC0-1.0"
    assert set(piper.model.paths) == {"en_US-joe-medium.onnx", "en_US-joe-medium.onnx.json"} == files(piper)
    assert piper.texts_in is not None
    assert (piper.texts_in / "MODEL_CARD").is_file()


@pytest.mark.model
def test_a_package_whose_weights_are_damaged_is_not_taken(tmp_path: Path) -> None:
    pytest.importorskip("open_speech_starter")

    def spoil(found: Discovery) -> Discovery:
        return structs.replace(found, sources=tuple(structs.replace(each, sha256="0" * 64) for each in found.sources))

    with pytest.raises(BadBundle, match="that an installed package ships are damaged"):
        collect(tmp_path, registry_of(tmp_path, spoil), "synthesizer", JOE)
    assert not list((tmp_path / "made").rglob("*.onnx"))


def test_the_hub_s_cache_is_copied_without_its_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("open_speech_whisper")
    cache = tmp_path / "cache"
    blobs = cache / "models--org--whisper-made" / "blobs"
    snapshot = blobs.parent / "snapshots" / "0123"
    for folder in (blobs, snapshot):
        folder.mkdir(parents=True)
    for name in ("config.json", "model.bin", "tokenizer.json"):
        (blobs / name).write_text(f"of {name}")
        (snapshot / name).symlink_to(blobs / name)
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    registry = registry_of(tmp_path, lambda found: structs.replace(found, sources=()))
    found = collect(tmp_path, registry, "transcriber", "org/whisper-made")
    assert found.model.paths == ("org--whisper-made",)
    copies = [found.home / file for file in files(found)]
    assert {path.name: path.read_text() for path in copies} == {
        name: f"of {name}" for name in ("config.json", "model.bin", "tokenizer.json")
    }
    assert not any(path.is_symlink() for path in copies)
    assert sorted(path.name for path in snapshot.iterdir()) == ["config.json", "model.bin", "tokenizer.json"]
