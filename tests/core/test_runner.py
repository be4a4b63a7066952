"""The runner: credits, cancels, sessions and failures, with echo as the engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import pytest

from open_speech_core.audio import view
from open_speech_core.errors import ErrorInfo
from open_speech_core.types import (
    Description,
    EngineSpec,
    Info,
    Kind,
    Loaded,
    LoadSpec,
    Model,
    Samples,
    Segment,
    SessionConfig,
    SynthesizeRequest,
    TranscribeRequest,
)
from open_speech_core.worker import protocol as p
from open_speech_core.worker.runner import Runner
from open_speech_echo import engine

MODELS: dict[Kind, str] = {
    "transcriber": "echo",
    "synthesizer": "echo-voice",
    "detector": "echo-detector",
    "diarizer": "echo-turns",
    "processor": "echo-gain",
}


class Line:
    """A server's end of a runner: frames in and out, encoded as on a pipe."""

    def __init__(self) -> None:
        self.frames: SimpleQueue[p.FromWorker] = SimpleQueue()
        self.runner = Runner(self._receive)

    def _receive(self, frame: p.FromWorker) -> None:
        self.frames.put(p.decode_from_worker(p.encode(frame)[p.PREFIX.size :]))

    def send(self, frame: p.ToWorker) -> bool:
        return self.runner.take(p.decode_to_worker(p.encode(frame)[p.PREFIX.size :]))

    def next(self, timeout: float = 5.0) -> p.FromWorker:
        return self.frames.get(timeout=timeout)

    def until_end(self) -> list[Any]:
        """Read until a call, feed or load ends; its items, then the frame that ended it."""
        found: list[Any] = []
        while True:
            frame = self.next()
            if isinstance(frame, p.ItemFrame):
                found.append(frame.item)
            elif isinstance(frame, p.Done | p.Failed | p.Ready):
                return [*found, frame]

    def quiet_for(self, seconds: float) -> bool:
        try:
            self.frames.get(timeout=seconds)
        except Empty:
            return True
        return False

    def load(
        self, kind: Kind = "transcriber", plugin: str = "open_speech_echo", name: str = "echo", *, test: bool = False
    ) -> Any:
        model = Model(id=MODELS[kind], kind=kind, rate=16_000)
        spec = EngineSpec(plugin=plugin, kind=kind, provider=name, load=LoadSpec(model=model))
        self.send(p.Load(call=1, engine=spec, test=test))
        return self.until_end()[-1]


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.runner.close()


def speech(seconds: float, **options: Any) -> TranscribeRequest:
    data = np.zeros(round(seconds * 16_000), "<f4").tobytes()
    return TranscribeRequest(audio=Samples(data=data, rate=16_000), options=options)


def test_a_call_gives_its_items_and_then_the_time_the_engine_took(line: Line) -> None:
    assert line.load() == p.Ready(call=1, loaded=Loaded())
    line.send(p.Call(call=2, request=speech(2.0, step_ms=20), credit=10))
    *items, end = line.until_end()
    assert [type(item) for item in items] == [Info, Segment, Segment]
    assert isinstance(end, p.Done)
    assert 60 <= end.engine_ms <= 400
    assert 20 <= end.step_ms < end.engine_ms


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (False, None),
        (True, "the self-test of 'echo' failed: AssertionError: it heard nothing"),
    ],
)
def test_a_load_runs_the_self_test_only_when_it_is_to(
    line: Line, monkeypatch: pytest.MonkeyPatch, test: bool, said: str | None
) -> None:
    def self_test(self: object) -> None:
        raise AssertionError("it heard nothing")

    monkeypatch.setattr(engine.EchoTranscriberEngine, "self_test", self_test)
    ended = line.load(test=test)
    if said is None:
        assert isinstance(ended, p.Ready)
    else:
        assert ended == p.Failed(call=1, error=ErrorInfo(code="load_failed", message=said))
        line.send(p.Call(call=2, request=speech(1.0)))
        assert isinstance(line.until_end()[-1], p.Failed), "such an engine serves nobody"


def test_one_credit_lets_out_one_item(line: Line) -> None:
    line.load()
    line.send(p.Call(call=2, request=speech(3.0), credit=1))
    assert isinstance(line.next(), p.ItemFrame)
    assert line.quiet_for(0.15)
    line.send(p.Credit(call=2, items=2))
    assert [type(line.next()) for _ in range(2)] == [p.ItemFrame, p.ItemFrame]
    assert line.quiet_for(0.15)
    line.send(p.Credit(call=2, items=10))
    *items, end = line.until_end()
    assert len(items) == 1
    assert isinstance(end, p.Done)


def test_a_wait_for_credit_is_not_the_engine_s_time(line: Line) -> None:
    line.load()
    line.send(p.Call(call=2, request=speech(1.0), credit=1))
    line.next()
    time.sleep(0.2)
    line.send(p.Credit(call=2, items=10))
    assert line.until_end()[-1].engine_ms < 100


def test_audio_leaves_in_items_of_at_most_a_second(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHO_RATE", "8000")
    line.load("synthesizer")
    line.send(p.Call(call=2, request=SynthesizeRequest(text="a" * 50, voice="sine"), credit=100))
    *items, _ = line.until_end()
    blocks = [view(item.data) for item in items if isinstance(item, Samples)]
    assert {item.rate for item in items if isinstance(item, Samples)} == {8000}
    assert max(map(len, blocks)) <= 8000
    assert sum(map(len, blocks)) == 50 * 0.06 * 8000


@pytest.mark.parametrize("when", ["mid-step", "waiting for credit"])
def test_a_cancelled_call_ends_at_its_next_step(line: Line, when: str) -> None:
    line.load()
    credit = 1 if when == "waiting for credit" else 100
    line.send(p.Call(call=2, request=speech(20.0, step_ms=100), credit=credit))
    line.next()
    time.sleep(0.15)
    since = time.monotonic()
    line.send(p.Cancel(call=2))
    end = line.until_end()[-1]
    assert end.error.code == "cancelled"
    assert time.monotonic() - since < 0.2 + 0.1
    line.send(p.Call(call=3, request=speech(1.0), credit=10))
    assert isinstance(line.until_end()[-1], p.Done)


def test_the_server_hears_what_an_engine_promises_here(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    assert line.load().loaded.cancel_s is None
    monkeypatch.setattr(engine.EchoTranscriberEngine, "cancel_s", 7.5)
    assert line.load().loaded.cancel_s == 7.5


def test_a_call_that_is_cancelled_before_its_turn_never_reaches_the_engine(line: Line) -> None:
    line.load()
    line.send(p.Call(call=2, request=speech(2.0, step_ms=100), credit=100))
    line.send(p.Call(call=3, request=speech(2.0, fail="exit"), credit=100))
    line.send(p.Cancel(call=3))
    assert isinstance(line.until_end()[-1], p.Done)
    end = line.until_end()[-1]
    assert (end.call, end.error.code) == (3, "cancelled")


def test_a_generator_is_closed_on_the_thread_that_ran_it(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []

    def transcribe(self: Any, request: Any, context: Any) -> Iterator[Info]:
        try:
            while True:
                threads.append(threading.current_thread().name)
                yield Info()
        finally:
            threads.append(f"{threading.current_thread().name} closed")

    held: list[Any] = []

    def kept(*args: Any) -> Any:
        # Held, so that only the runner's close can end it and not the end of its last reference.
        held.append(transcribe(*args))
        return held[-1]

    monkeypatch.setattr(engine.EchoTranscriberEngine, "transcribe", kept)
    line.load()
    line.send(p.Call(call=2, request=speech(1.0), credit=3))
    for _ in range(3):
        line.next()
    line.send(p.Cancel(call=2))
    assert line.until_end()[-1].error.code == "cancelled"
    assert threads[-1] == f"{threads[0]} closed"


def test_a_failing_engine_fails_its_call_only_and_says_nothing_private(line: Line) -> None:
    line.load()
    line.send(p.Call(call=2, request=speech(3.0, fail="raise", fail_at=2), credit=100))
    *items, end = line.until_end()
    assert len(items) == 2
    assert (end.error.code, end.error.message) == ("engine_error", "the engine failed (RuntimeError)")
    line.send(p.Call(call=3, request=speech(1.0), credit=100))
    assert isinstance(line.until_end()[-1], p.Done)


def test_a_bad_option_is_the_caller_s_error(line: Line) -> None:
    line.load()
    line.send(p.Call(call=2, request=speech(1.0, step_ms=-1), credit=100))
    end = line.until_end()[-1]
    assert (end.error.code, end.error.param) == ("invalid_request", "step_ms")


def test_a_call_that_the_engine_cannot_do_is_refused(line: Line) -> None:
    line.load()
    line.send(p.Call(call=2, request=SynthesizeRequest(text="a", voice="sine"), credit=100))
    assert line.until_end()[-1].error.code == "feature_not_supported"


@pytest.mark.parametrize("frame", [p.Call(call=2, request=speech(1.0)), p.Open(call=2, config=SessionConfig(rate=1))])
def test_nothing_works_before_a_load(line: Line, frame: Any) -> None:
    line.send(frame)
    assert line.until_end()[-1].error.code == "engine_error"


def test_calls_run_beside_each_other_as_far_as_the_engine_takes_it(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHO_MAX_CONCURRENCY", "3")
    assert line.load().loaded.max_concurrency == 3
    since = time.monotonic()
    for call in range(2, 5):
        line.send(p.Call(call=call, request=speech(1.0, step_ms=150), credit=100))
    for _ in range(3):
        assert isinstance(line.until_end()[-1], p.Done)
    assert time.monotonic() - since < 0.6


def test_a_session_is_fed_flushed_and_closed(line: Line) -> None:
    line.load("detector")
    line.send(p.Open(call=2, config=SessionConfig(rate=16_000)))
    assert isinstance(line.until_end()[-1], p.Done)
    line.send(p.Feed(call=2, data=np.full(700, 0.5, "<f4").tobytes(), rate=16_000))
    activity, _ = line.until_end()
    assert (activity.offset, activity.hop, len(activity.probabilities)) == (0, 512, 1)
    line.send(p.Flush(call=2))
    activity, _ = line.until_end()
    assert (activity.offset, len(activity.probabilities)) == (512, 1)
    line.send(p.Close(call=2))
    line.send(p.Feed(call=2, data=b"", rate=16_000))
    assert line.until_end()[-1].error.message == "no such session"


def test_a_processor_s_samples_come_back_at_the_session_s_rate(line: Line) -> None:
    line.load("processor")
    line.send(p.Open(call=2, config=SessionConfig(rate=22_050, options={"gain_db": -6.0206})))
    line.until_end()
    line.send(p.Feed(call=2, data=np.full(100, 0.5, "<f4").tobytes(), rate=22_050))
    samples, _ = line.until_end()
    assert samples.rate == 22_050
    assert view(samples.data) == pytest.approx(np.full(100, 0.25), abs=1e-4)


def test_a_session_with_bad_options_does_not_open(line: Line) -> None:
    line.load("processor")
    line.send(p.Open(call=2, config=SessionConfig(rate=16_000, options={"gain_db": 100.0})))
    assert line.until_end()[-1].error.param == "gain_db"
    line.send(p.Feed(call=2, data=b"", rate=16_000))
    assert isinstance(line.until_end()[-1], p.Failed)


def test_closing_the_runner_stops_calls_and_closes_sessions_and_the_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[str] = []
    monkeypatch.setattr(engine.EchoDetectorEngine, "close", lambda self: closed.append("engine"))
    monkeypatch.setattr(engine.EchoDetectorSession, "close", lambda self: closed.append("session"))
    line = Line()
    line.load("detector")
    line.send(p.Open(call=2, config=SessionConfig(rate=16_000)))
    line.until_end()
    line.runner.close()
    assert closed == ["session", "engine"]


def test_closing_the_runner_ends_a_call_that_waits_for_credit() -> None:
    line = Line()
    line.load()
    line.send(p.Call(call=2, request=speech(5.0), credit=1))
    line.next()
    line.runner.close()
    assert line.until_end()[-1].error.code == "cancelled"


def test_a_ping_is_answered_while_the_engine_works_and_close_ends_the_worker(line: Line) -> None:
    line.load()
    line.send(p.Call(call=2, request=speech(1.0, step_ms=300), credit=100))
    assert line.send(p.Ping(number=5)) is True
    assert line.next(0.2) == p.Pong(number=5)
    assert line.send(p.Close()) is False


def test_a_plugin_describes_each_of_its_providers(line: Line) -> None:
    line.send(p.Describe(call=1, plugin="open_speech_echo"))
    *items, end = line.until_end()
    assert isinstance(end, p.Done)
    assert all(isinstance(item, Description) for item in items)
    assert {item.kind: [model.id for model in item.models] for item in items} == {
        "transcriber": ["echo", "echo-slow"],
        "synthesizer": ["echo-voice"],
        "detector": ["echo-detector"],
        "diarizer": ["echo-turns"],
        "processor": ["echo-gain"],
    }
    voices = next(item for item in items if item.kind == "synthesizer").voices
    assert [voice.id for voice in voices["echo-voice"]] == ["sine", "square", "high"]


def test_a_plugin_that_cannot_be_used_is_not_described(line: Line, broken: Callable[[str], str]) -> None:
    line.send(p.Describe(call=1, plugin=broken("other_api")))
    end = line.until_end()[-1]
    assert end.error.code == "plugin_error"
    assert "API 2.0" in end.error.message


def test_a_load_that_raises_says_which_model_and_no_path(line: Line, broken: Callable[[str], str]) -> None:
    end = line.load(plugin=broken("load_raises"), name="broken")
    assert end.error.code == "load_failed"
    assert end.error.message == "model 'echo' could not be loaded: OSError"


@pytest.mark.parametrize(
    ("plugin", "name", "said"),
    [
        ("open_speech_nobody", "echo", "cannot be used"),
        ("open_speech_echo", "other", "has no transcriber called 'other'"),
    ],
)
def test_a_provider_that_is_not_there_fails_the_load(line: Line, plugin: str, name: str, said: str) -> None:
    end = line.load(plugin=plugin, name=name)
    assert end.error.code == "load_failed"
    assert said in end.error.message


def test_bad_settings_fail_the_load_with_all_their_names(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHO_RATE", "fast")
    monkeypatch.setenv("ECHO_MAX_CONCURRENCY", "0")
    end = line.load()
    assert end.error.code == "load_failed"
    assert "ECHO_RATE='fast'" in end.error.message
    assert "ECHO_MAX_CONCURRENCY='0'" in end.error.message
