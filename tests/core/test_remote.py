"""What a description alone lets the server say of a provider in another environment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from open_speech_core.errors import FeatureNotSupported, VoiceNotFound
from open_speech_core.plugins import PluginRecord
from open_speech_core.registry import Registry
from open_speech_core.remote import Environment, RemoteProvider, read_environments, write_environment
from open_speech_core.types import (
    API_VERSION,
    Artifacts,
    Capabilities,
    Description,
    Kind,
    Model,
    ModelSource,
    ProviderInfo,
    Voice,
)


def described(name: str = "far", kind: Kind = "synthesizer", *, blend: bool = False, **more: object) -> Description:
    fields: dict[str, object] = {
        "models": (Model(id=f"{name}-model", kind=kind, rate=24_000),),
        "voices": {f"{name}-model": (Voice(id="ann", name="Ann"), Voice(id="ben", name="Ben"))},
        "openai_voices": {"alloy": "ann"},
        **more,
    }
    return Description(
        api=API_VERSION,
        plugin=f"open_speech_{name}",
        distribution=name,
        version="1.0",
        kind=kind,
        info=ProviderInfo(name=name, title=name, licence="MIT"),
        capabilities=Capabilities(voice_blend=blend),
        **fields,  # type: ignore[arg-type]
    )


def environment(folder: Path, *descriptions: Description, interpreter: str = sys.executable) -> Path:
    folder.mkdir(parents=True)
    write_environment(folder, Environment(interpreter=interpreter, descriptions=descriptions))
    return folder


def remote(description: Description, folder: Path | None = None) -> RemoteProvider:
    return RemoteProvider(description, Path("home"), folder)


@pytest.mark.parametrize("voice", ["ann", "ann(2)+ben(1)", " ann + ben(0.5) ", "alloy+ben", "alloy"])
def test_a_blend_of_voices_may_be_spoken_where_the_engine_blends(voice: str) -> None:
    provider = remote(described(blend=True))
    provider.check_voice(next(iter(provider.models())), voice)


@pytest.mark.parametrize("voice", ["ann+nobody", "nobody(2)", "ann+", "+", "", "(2)", "ann ben"])
def test_a_blend_with_a_stranger_may_not(voice: str) -> None:
    provider = remote(described(blend=True))
    with pytest.raises(VoiceNotFound):
        provider.check_voice(next(iter(provider.models())), voice)


def test_an_engine_that_does_not_blend_refuses() -> None:
    provider = remote(described())
    with pytest.raises(FeatureNotSupported) as caught:
        provider.check_voice(next(iter(provider.models())), "ann+ben")
    assert caught.value.param == "voice"


def test_kinds_that_work_inside_the_media_worker_are_left_to_the_servers_own_environment(tmp_path: Path) -> None:
    kinds: tuple[Kind, ...] = ("transcriber", "synthesizer", "diarizer", "detector", "processor")
    environment(tmp_path / "far-1", *(described("far", kind) for kind in kinds))
    found = list(read_environments(tmp_path, tmp_path))
    assert [provider.kind for _, provider in found if provider is not None] == list(kinds[:3])
    assert all(record.error is None for record, _ in found), "that is nothing to worry anybody with"


def test_an_environment_whose_python_is_gone_is_reported(tmp_path: Path) -> None:
    environment(tmp_path / "far-1", described(), interpreter="bin/python")
    ((record, provider),) = read_environments(tmp_path, tmp_path)
    assert provider is None
    assert record.error == "its Python is gone from this machine; install it again"


def test_weights_that_packages_of_another_environment_ship_are_found(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.touch()
    shipped = ModelSource(id="far-model", kind="synthesizer", path=str(weights), default_for="synthesizer", priority=5)
    environment(tmp_path / "providers" / "far-1", described(sources=(shipped,), artifacts={"far-model": Artifacts()}))
    found = list(read_environments(tmp_path / "providers", tmp_path))
    registry = Registry(providers=[(record, provider) for record, provider in found if provider is not None])
    resolved = registry.resolve("synthesizer", "far-model")
    assert registry.on_disk(resolved)
    assert registry.source(resolved) == shipped
    assert registry.default("synthesizer", None).id == "far-model"
    registry.replace_remotes([])
    assert registry.sources == ()
    registry.replace_remotes(found)
    assert registry.sources == (shipped,)


def test_of_two_packages_that_ship_one_model_the_preferred_counts(tmp_path: Path) -> None:
    sources = [
        ModelSource(id="m", kind="transcriber", path=f"/{priority}", priority=priority) for priority in (1, 3, 2)
    ]
    assert [source.path for source in Registry(sources=sources).sources] == ["/3"]


def test_providers_of_one_environment_forget_nothing_of_each_other(tmp_path: Path) -> None:
    nothing = {"far-model": Artifacts(), "near-model": Artifacts()}
    both = (described("far", artifacts=nothing), described("near", artifacts=nothing))
    folder = environment(tmp_path / "both-1", *both)
    for description in both:
        provider = remote(description, folder)
        provider.note(next(iter(provider.models())), Artifacts(paths=(str(folder),), complete=True))
    again = [provider for _, provider in read_environments(tmp_path, tmp_path) if provider is not None]
    assert [provider.artifacts(next(iter(provider.models()))).complete for provider in again] == [True, True]


def test_what_replaces_another_environment_is_listed_once() -> None:
    record = PluginRecord(name="far", module="open_speech_far", distribution="far", version="1.0", interpreter="/1")
    registry = Registry(plugins=(record,), remotes=(record,), providers=((record, remote(described())),))
    generation = registry.generation
    newer = PluginRecord(name="far", module="open_speech_far", distribution="far", version="2.0", interpreter="/2")
    registry.replace_remotes([(newer, remote(described()))])
    assert registry.plugins == (newer,)
    assert registry.resolve("synthesizer", "far-model").plugin == newer
    assert registry.generation > generation
