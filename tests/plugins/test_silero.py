"""Silero finds speech, however its stream is cut."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_speech_core.errors import InvalidRequest, LoadFailed, OpenSpeechError, WeightsMissing
from open_speech_core.providers import NoOptions
from open_speech_core.testing import Case, cases, check_plugin
from open_speech_core.types import Activity, Float32, LoadSpec, SessionConfig
from open_speech_silero import provider as silero
from open_speech_silero.provider import MODEL, RATE, WEIGHTS, SileroDetector
from plugins.bench import Bench

if TYPE_CHECKING:
    from open_speech_silero.engine import SileroEngine

pytest.importorskip("onnxruntime")
HOP = 512
SAME = 1e-4


@pytest.fixture(scope="module")
def engine() -> SileroEngine:
    return SileroDetector(NoOptions(), Path()).load(LoadSpec(model=MODEL))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def noise() -> Float32:
    """Three seconds that make the probabilities move."""
    loud = np.sin(np.arange(3 * RATE) / 700) ** 2
    return (np.random.default_rng(1).standard_normal(3 * RATE) * 0.2 * loud).astype(np.float32)


def heard(engine: SileroEngine, pieces: list[Float32]) -> Float32:
    """Feed pieces, flush, and give all probabilities; offsets must have no gap."""
    session = engine.open(SessionConfig(rate=RATE))
    found: list[Activity] = [activity for piece in pieces for activity in session.feed(piece)]
    found += session.flush()
    expected = 0
    for activity in found:
        assert activity.hop == HOP
        assert activity.offset == expected
        expected += HOP * len(activity.probabilities)
    return np.concatenate([np.array(activity.probabilities, np.float32) for activity in found])


@pytest.mark.parametrize("case", cases("open_speech_silero"))
def test_the_engine_keeps_the_laws(case: Case) -> None:
    case.check()


def test_the_plugin_keeps_the_laws() -> None:
    check_plugin("open_speech_silero")


def test_asking_imports_no_onnxruntime() -> None:
    code = (
        "import sys; from pathlib import Path; import open_speech_silero as plugin\n"
        "from open_speech_core.providers import NoOptions\n"
        "made = plugin.open_speech_register_detectors()[0](NoOptions(), Path())\n"
        "assert made.artifacts(made.models()[0]).complete and made.resolve('x') is None\n"
        "assert not {'numpy', 'onnxruntime', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 3 * RATE), max_size=12))
def test_the_cut_of_a_stream_changes_nothing(engine: SileroEngine, noise: Float32, cuts: list[int]) -> None:
    pieces = np.split(noise, sorted(cuts))
    np.testing.assert_allclose(heard(engine, pieces), heard(engine, [noise]), atol=SAME)


def test_the_state_runs_through_a_call_as_it_does_from_window_to_window(engine: SileroEngine, noise: Float32) -> None:
    import onnxruntime

    model = onnxruntime.InferenceSession(str(WEIGHTS), providers=["CPUExecutionProvider"])
    h = c = np.zeros((1, 1, 128), np.float32)
    context = np.zeros(64, np.float32)
    expected: list[float] = []
    for start in range(0, len(noise) - HOP + 1, HOP):
        window = noise[start : start + HOP]
        inputs = {"input": np.concatenate((context, window))[None], "h": h, "c": c}
        probability, h, c = model.run(None, inputs)
        expected.append(float(probability[0]))
        context = window[-64:]
    assert max(expected) - min(expected) > 0.01
    np.testing.assert_allclose(heard(engine, [noise])[: len(expected)], expected, atol=SAME)


def test_more_than_one_call_of_onnx_runtime_in_a_feed(engine: SileroEngine, noise: Float32) -> None:
    long = np.tile(noise, 5)
    assert len(long) // HOP > 256
    halves = [long[: 100 * HOP], long[100 * HOP :]]
    np.testing.assert_allclose(heard(engine, [long]), heard(engine, halves), atol=SAME)


def test_the_rest_is_given_at_the_end(engine: SileroEngine) -> None:
    assert len(heard(engine, [np.zeros(HOP + 1, np.float32)])) == 2
    session = engine.open(SessionConfig(rate=RATE))
    assert session.flush() == []
    session.feed(np.zeros(HOP, np.float32))
    assert session.flush() == []


def test_speech_is_speech_and_silence_is_not(engine: SileroEngine, jfk: Float32, telephone: Float32) -> None:
    assert (heard(engine, [jfk]) > 0.5).mean() > 0.6
    assert (heard(engine, [telephone[: 6 * RATE]]) > 0.5).mean() < 0.05
    assert heard(engine, [np.zeros(RATE, np.float32)]).max() < 0.1


def test_samples_that_are_no_numbers_do_not_poison_the_stream(engine: SileroEngine, jfk: Float32) -> None:
    broken = jfk.copy()
    broken[1000:1010] = np.nan
    broken[2000] = np.inf
    found = heard(engine, [broken])
    assert np.isfinite(found).all()
    assert (found > 0.5).mean() > 0.6


def test_streams_on_several_threads_do_not_mix(engine: SileroEngine, jfk: Float32, noise: Float32) -> None:
    streams = [jfk, noise] * engine.max_concurrency
    alone = [heard(engine, [stream]) for stream in (jfk, noise)]
    with ThreadPoolExecutor(engine.max_concurrency) as threads:
        together = list(threads.map(lambda stream: heard(engine, np.array_split(stream, 9)), streams))
    for index, found in enumerate(together):
        np.testing.assert_allclose(found, alone[index % 2], atol=SAME)


def test_through_a_runner(bench: Bench, engine: SileroEngine, jfk: Float32) -> None:
    loaded = bench.load("open_speech_silero", "detector", "silero", LoadSpec(model=MODEL))
    assert loaded.max_concurrency == 8
    bench.open(SessionConfig(rate=RATE))
    items: list[Any] = [item for piece in np.array_split(jfk, 7) for item in bench.feed(piece, RATE)]
    items += bench.flush()
    found = np.concatenate([np.array(item.probabilities, np.float32) for item in items])
    np.testing.assert_allclose(found, heard(engine, [jfk]), atol=SAME)


def test_another_rate_is_refused(engine: SileroEngine) -> None:
    with pytest.raises(InvalidRequest, match="16000 Hz, not 8000"):
        engine.open(SessionConfig(rate=8000))


@pytest.mark.parametrize(
    ("content", "error"), [(b"not a model", LoadFailed), (None, WeightsMissing)], ids=["damaged", "missing"]
)
def test_bad_weights_are_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, error: type[OpenSpeechError]
) -> None:
    file = tmp_path / "weights.onnx"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setattr(silero, "WEIGHTS", file)
    with pytest.raises(error, match="install open-speech-silero again") as caught:
        SileroDetector(NoOptions(), tmp_path).load(LoadSpec(model=MODEL))
    assert str(tmp_path) not in caught.value.message


def test_the_licence_of_the_weights_is_in_the_package() -> None:
    text = WEIGHTS.with_suffix(".LICENSE").read_text()
    assert "Silero Team" in text
    assert MODEL.licence == "MIT"
