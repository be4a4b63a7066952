"""Who serves an id, which model is the default and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from open_speech_core.errors import ModelNotFound, VoiceNotFound
from open_speech_core.plugins import PluginRecord, discover
from open_speech_core.providers import AnyProvider
from open_speech_core.registry import OPENAI_VOICES, Registry, build_registry
from open_speech_core.types import Artifacts, Model, ModelSource, ProviderInfo
from open_speech_echo.options import EchoOptions
from open_speech_echo.provider import EchoSynthesizer, EchoTranscriber

TURBO = "deepdml/faster-whisper-large-v3-turbo-ct2"


def provider(
    name: str,
    ids: tuple[str, ...] = (),
    *,
    claims: str = "-",
    on_disk: bool = False,
    aliases: dict[str, str] | None = None,
) -> AnyProvider:
    """Make a transcriber that lists ``ids`` and claims whatever begins with ``claims``."""

    class Listed(EchoTranscriber):
        info = ProviderInfo(name=name, title=name, licence="MIT")

        def models(self) -> tuple[Model, ...]:
            return tuple(Model(id=id, kind="transcriber", rate=16_000) for id in ids)

        def resolve(self, id: str) -> Model | None:
            return Model(id=id, kind="transcriber", rate=16_000) if id.startswith(claims) else None

        def artifacts(self, model: Model) -> Artifacts:
            return Artifacts(complete=on_disk)

    Listed.aliases = MappingProxyType(aliases or {})
    return Listed(EchoOptions(), Path())


def record(distribution: str) -> PluginRecord:
    return PluginRecord(name=distribution, module=distribution, distribution=distribution, version="1")


def registry(*providers: AnyProvider, sources: tuple[ModelSource, ...] = ()) -> Registry:
    """Register each provider from a distribution of its own name."""
    return Registry(providers=[(record(one.info.name), one) for one in providers], sources=sources)


def served(found: Registry, id: str, setting: str | None = None) -> tuple[str, str]:
    resolved = found.resolve("transcriber", id, setting=setting)
    return resolved.provider.info.name, resolved.id


def test_a_listed_id_wins_over_a_claim() -> None:
    found = registry(provider("aa", claims="tiny"), provider("zz", ("tiny",)))
    assert served(found, "tiny") == ("zz", "tiny")
    assert served(found, "tiny.en") == ("aa", "tiny.en")


def test_a_provider_s_name_before_the_id_reaches_that_provider() -> None:
    found = registry(provider("aa", ("tiny",)), provider("bb", ("tiny",), claims="big"))
    assert served(found, "tiny") == ("aa", "tiny")
    assert served(found, "bb:tiny") == ("bb", "tiny")
    assert served(found, "bb:big") == ("bb", "big")
    with pytest.raises(ModelNotFound):
        found.resolve("transcriber", "aa:big")


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_that_list_one_id_the_later_distribution_loses_it_only_and_is_reported(order: int) -> None:
    both = [provider("aa", ("tiny", "a")), provider("bb", ("tiny", "b"))][::order]
    found = registry(*both)
    assert [served(found, id)[0] for id in ("tiny", "a", "b")] == ["aa", "aa", "bb"]
    assert found.conflicts == ("transcriber 'tiny' of bb is hidden by aa; ask for bb:tiny",)
    assert [model.id for model in found.models("transcriber")] == ["tiny", "a", "b"]


def test_one_id_in_two_kinds_is_no_conflict() -> None:
    voice = EchoSynthesizer(EchoOptions(), Path())
    found = registry(provider("aa", ("echo-voice",)), voice)
    assert found.conflicts == ()
    assert found.resolve("synthesizer", "echo-voice").provider is voice


def test_an_alias_means_its_model_and_a_listed_id_wins_over_it() -> None:
    found = registry(provider("aa", ("big",), aliases={"large": "big", "tiny": "big"}), provider("bb", ("tiny",)))
    assert served(found, "large") == ("aa", "big")
    assert served(found, "tiny") == ("bb", "tiny")


def test_a_provider_s_name_alone_means_its_model_that_is_ready() -> None:
    assert served(registry(provider("aa", ("x",)), provider("bb", ("y", "z"))), "bb") == ("bb", "y")


def test_a_provider_s_name_alone_means_the_configured_model_if_that_is_its_own() -> None:
    found = registry(provider("aa", ("x",)), provider("bb", ("y", "z"), aliases={"short": "z"}))
    assert served(found, "bb", setting="z") == ("bb", "z")
    assert served(found, "bb", setting="short") == ("bb", "z")
    assert served(found, "bb", setting="bb:z") == ("bb", "z")
    for other in ("x", "nobody", "bb", "default"):
        assert served(found, "bb", setting=other) == ("bb", "y")


@pytest.mark.parametrize("setting", ["whisper-1", "default", "gpt-4o-transcribe"])
def test_a_setting_that_is_openai_s_name_leaves_the_choice_open(setting: str) -> None:
    found = registry(provider("aa", ("x", "y")))
    assert served(found, "", setting=setting) == served(found, setting, setting=setting) == ("aa", "x")
    assert found.default("transcriber", setting).reason != "set by configuration"


@pytest.mark.parametrize("name", ["whisper-1", "gpt-4o-transcribe", "default", ""])
def test_openai_names_mean_the_default(name: str) -> None:
    found = registry(provider("aa", ("x", "y")))
    assert served(found, name) == ("aa", "x")
    assert served(found, name, setting="y") == ("aa", "y")


@pytest.mark.parametrize("id", ["nobody", "tts-1", "x" * 5000])
def test_an_id_nobody_knows_is_named_shortly(id: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        registry(provider("aa", ("x",))).resolve("transcriber", id)
    assert caught.value.param == "model"
    assert id[:20] in caught.value.message
    assert len(caught.value.message) < 200


def test_without_any_provider_the_reason_is_said() -> None:
    with pytest.raises(ModelNotFound, match="no plugin registers a transcriber"):
        registry().resolve("transcriber", "whisper-1")


def source(id: str, path: Path, **more: Any) -> ModelSource:
    return ModelSource(id=id, kind="transcriber", path=str(path), **more)


def test_the_default_follows_the_rule_and_says_why(tmp_path: Path) -> None:
    here = tmp_path / "weights"
    here.touch()
    shipped = source("tiny", here, default_for="transcriber")
    claims_all = provider("aa", ("first",), claims="")
    ready = provider("bb", ("ready",), on_disk=True)
    turbo_ready = provider("cc", (TURBO,), on_disk=True)

    def choice(*providers: AnyProvider, setting: str | None = None, sources: tuple[ModelSource, ...] = ()) -> Any:
        return registry(*providers, sources=sources).default("transcriber", setting)

    assert choice(turbo_ready, setting="mine").reason == "set by configuration"
    assert choice(turbo_ready, claims_all, sources=(shipped,)).id == TURBO
    assert choice(claims_all, sources=(shipped,)).id == "tiny"
    assert "ships" in choice(claims_all, sources=(shipped,)).reason
    assert choice(claims_all, sources=(source("tiny", tmp_path / "gone", default_for="transcriber"),)).id == TURBO
    assert "downloaded" in choice(claims_all).reason
    assert choice(provider("zz", ("later",)), ready).id == "ready"
    assert choice(provider("zz", ("later",))).id == "later"
    assert choice().id is None


def test_of_sources_the_priority_decides_and_then_the_name(tmp_path: Path) -> None:
    low = source("b", tmp_path, default_for="transcriber", priority=1)
    high = source("c", tmp_path, default_for="transcriber", priority=2)
    also_high = source("a", tmp_path, default_for="transcriber", priority=2)
    for sources in ((low, high, also_high), (also_high, high, low)):
        found = registry(provider("aa", ("a", "b", "c")), sources=sources)
        assert found.default("transcriber", None).id == "a"
    assert registry(provider("aa", ("b", "c")), sources=(low, high)).default("transcriber", None).id == "c"


def test_weights_that_a_package_ships_are_listed_when_a_provider_claims_them(tmp_path: Path) -> None:
    shipped = (source("tiny", tmp_path), source("strange", tmp_path))
    found = registry(provider("aa", ("x",), claims="tiny"), sources=shipped)
    assert [(model.id, found.on_disk(model)) for model in found.models("transcriber")] == [
        ("x", False),
        ("tiny", True),
    ]


@pytest.fixture
def echo_registry(tmp_path: Path) -> Registry:
    return build_registry(discover(["open_speech_echo"]), environ={}, data_dir=tmp_path)


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [
        (None, "sine"),
        ("default", "sine"),
        ("high", "high"),
        ("alloy", "sine"),
        ("nova", "high"),
        ("verse", "square"),
    ],
)
def test_voices_are_the_model_s_or_openai_s(asked: str | None, spoken: str, echo_registry: Registry) -> None:
    model = echo_registry.resolve("synthesizer", "echo-voice")
    assert echo_registry.voice(model, asked) == spoken


def test_every_openai_voice_is_spoken_by_one_of_the_model_s(echo_registry: Registry) -> None:

    model = echo_registry.resolve("synthesizer", "tts-1")
    spoken = {echo_registry.voice(model, name) for name in OPENAI_VOICES}
    assert len(OPENAI_VOICES) == 13
    assert spoken == {"sine", "square", "high"}


def test_a_configured_voice_is_used_where_the_model_has_it(echo_registry: Registry) -> None:
    model = echo_registry.resolve("synthesizer", "echo-voice")
    assert echo_registry.voice(model, None, "square") == "square"
    assert echo_registry.voice(model, None, "af_heart") == "sine"


def test_a_voice_nobody_has_is_refused(echo_registry: Registry) -> None:
    model = echo_registry.resolve("synthesizer", "echo-voice")
    with pytest.raises(VoiceNotFound, match="no voice 'bass'"):
        echo_registry.voice(model, "bass")


@pytest.mark.parametrize("asked", [None, "default", "square", "nova"])
def test_a_model_without_siblings_serves_everything_itself(asked: str | None, echo_registry: Registry) -> None:
    model = echo_registry.resolve("synthesizer", "echo-voice")
    for designed in (False, True):
        found, voice = echo_registry.serving(model, asked, designed=designed)
        assert (found, voice) == (model, echo_registry.voice(model, asked))


def test_a_plugin_with_bad_settings_is_reported_with_all_of_them_and_left_out(tmp_path: Path) -> None:
    environ = {"ECHO_RATE": "fast", "ECHO_LOAD_DELAY_S": "-1"}
    found = build_registry(discover(["open_speech_echo"]), environ=environ, data_dir=tmp_path)
    assert found.providers == ()
    (plugin,) = found.plugins
    assert plugin.error is not None
    assert "ECHO_RATE='fast'" in plugin.error
    assert "ECHO_LOAD_DELAY_S='-1'" in plugin.error


def test_a_plugin_that_was_skipped_leaves_the_others_in_use(tmp_path: Path, broken: Callable[[str], str]) -> None:
    found = build_registry(discover([broken("raises_in_hook"), "open_speech_echo"]), environ={}, data_dir=tmp_path)
    assert [plugin.error is None for plugin in found.plugins] == [False, True]
    assert len(found.providers) == 5
