"""The kit passes echo and catches every broken plugin by the law it breaks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from open_speech_core.testing import Case, Violation, cases, check_plugin
from open_speech_core.types import Artifacts
from open_speech_echo.provider import EchoTranscriber

STATIC = {
    "imports_numpy": "imports no model library",
    "prints_at_import": "discovery prints nothing",
    "empty": "offers something",
    "fails_to_import": "is discovered",
    "repeats_a_model": "model ids are unique",
    "lists_other_kind": "models have its kind",
    "models_change": "models are stable",
    "asks_the_network": "asking is cheap",
    "resolve_raises": "resolve is calm",
    "no_voices": "has a voice",
    "takes_any_voice": "refuses strange voices",
    "shouts_its_name": "name is a word",
}
LOADED = {
    "load_raises": "loads",
    "no_info_item": "Info comes first",
    "info_twice": "then come segments",
    "times_go_back": "times do not go back",
    "segment_without_length": "start comes before end",
    "beyond_the_span": "times lie in the span",
    "time_is_nan": "times are finite",
    "probability_over_one": "probabilities are 0 to 1",
    "logprob_over_zero": "log-probabilities are at most 0",
    "no_words": "gives words",
    "raises_on_nothing": "survives any audio",
    "numpy_numbers": "works through frames",
    "one_long_step": "free after a cancel",
    "one_long_flush": "free after a cancel",
    "swallows_cancel": "free after a cancel",
    "ignores_offset": "a stretch of a file is the same",
    "slow_to_close": "closes in time",
    "wrong_rate": "has the model's rate",
    "nan_samples": "samples are finite",
    "float64_samples": "samples are float32",
    "two_channels": "samples are one channel",
    "too_loud": "samples are -1 to 1",
    "says_nothing": "is heard",
    "raises_on_emoji": "survives any text",
    "one_block": "streams",
    "ignores_speed": "speed shortens",
    "turns_overlap_backwards": "turns are in order",
    "drops_the_rest": "covers the stream",
    "depends_on_pieces": "pieces do not matter",
    "hears_silence": "silence is silence",
    "one_session_for_all": "sessions do not mix",
    "loses_the_tail": "no tail is lost",
    "leaks_memory": "keeps its memory",
    "leaves_a_process": "leaves no process",
    "dies_in_a_worker": "loads in a worker",
    "promises_too_much_time": "promises what it keeps",
    "speaks_of_nothing": "says nothing to nothing",
    "mute_on_long_text": "refuses or is heard",
    "writes_into_its_input": "survives any pieces",
}
THREADED = {"shares_state": "threads do not mix"}
DISCOVERY = {
    "exits_at_import", "misspells_hook", "hook_not_marked", "hook_takes_more", "raises_in_hook",
    "gives_no_class", "source_is_a_path", "other_api", "other_kind", "no_info", "no_load",
    "takes_route_field", "option_is_a_map", "option_is_required",
}  # fmt: skip
"""Seen in test_plugins."""


@pytest.mark.parametrize(("name", "law"), STATIC.items())
def test_a_plugin_that_breaks_a_law_before_load_is_named_with_it(
    name: str, law: str, broken: Callable[[str], str]
) -> None:
    with pytest.raises(Violation) as caught:
        check_plugin(broken(name))
    assert caught.value.law == law


@pytest.mark.parametrize(("name", "law"), LOADED.items())
def test_an_engine_that_breaks_a_law_is_named_with_it(name: str, law: str, broken: Callable[[str], str]) -> None:
    first = cases(broken(name))[0]
    with pytest.raises(Violation) as caught:
        first.values[0].check()  # type: ignore[union-attr]
    assert caught.value.law == law


def test_an_engine_whose_threads_see_each_other_is_named_with_it(
    broken: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECHO_MAX_CONCURRENCY", "3")
    case = cases(broken("shares_state"))[0].values[0]
    with pytest.raises(Violation) as caught:
        case.check()  # type: ignore[union-attr]
    assert caught.value.law == THREADED["shares_state"]


@pytest.mark.parametrize(("promise_s", "kept"), [(0.9, True), (1.3, False)])
def test_a_promise_may_be_twice_the_slowest_step(
    promise_s: float, kept: bool, broken: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its slowest step is half a second and a little."""
    case = cases(broken("one_long_step"))[0].values[0]
    provider = type(case.provider)  # type: ignore[union-attr]
    monkeypatch.setattr(provider, "capabilities", replace(provider.capabilities, cancel_s=promise_s))
    if kept:
        report = case.check()  # type: ignore[union-attr]
        assert "promises what it keeps" in report.kept
        assert report.promise_s == promise_s
        assert 300 < report.slowest_cancel_ms < 1000 * promise_s
        return
    with pytest.raises(Violation) as caught:
        case.check()  # type: ignore[union-attr]
    assert caught.value.law == "promises what it keeps"


def test_every_broken_plugin_is_expected_somewhere() -> None:
    folder = Path(__file__).parent / "broken_plugins"
    there = {file.stem for file in folder.glob("*.py")} - {"__init__", "parts"}
    assert there == {*STATIC, *LOADED, *THREADED, *DISCOVERY}


def test_echo_keeps_the_laws_of_plugins() -> None:
    report = check_plugin("open_speech_echo")
    assert {"imports no model library", "options survive their schema"} <= set(report.kept)


@pytest.mark.parametrize("case", [case for case in cases("open_speech_echo") if "echo-slow" not in str(case.id)])
def test_echo_keeps_the_laws_of_its_kind(case: Case) -> None:
    report = case.check()
    assert "closes in time" in report.kept


def test_a_model_without_weights_is_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(EchoTranscriber, "artifacts", lambda self, model: Artifacts(complete=False))
    marks = [mark for case in cases("open_speech_echo", kind="transcriber") for mark in case.marks]
    assert [mark.name for mark in marks] == ["skip", "skip"]  # type: ignore[union-attr]


def test_importing_the_kit_does_not_import_pytest_or_a_model_library() -> None:
    code = "import sys, open_speech_core.testing; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"pytest", "torch", "onnxruntime"} & set(modules.split())
