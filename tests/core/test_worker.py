"""The worker as a process of its own: its channel, its faults and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech_core.types import API_VERSION, EngineSpec, LoadSpec, Model, Samples, TranscribeRequest
from open_speech_core.worker import protocol as p

COMMAND = [sys.executable, "-m", "open_speech_core.worker"]
SOON_S = 2.0


class Worker:
    """A real worker over pipes."""

    def __init__(self, **environ: str) -> None:
        self.process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environ},
            bufsize=0,
        )
        self.hello = self.read()

    def send(self, frame: p.ToWorker) -> None:
        self.write(p.encode(frame))

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def _exactly(self, size: int) -> bytes:
        assert self.process.stdout is not None
        data = b""
        while len(data) < size:
            piece = self.process.stdout.read(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def read(self) -> Any:
        return p.decode_from_worker(self._exactly(p.frame_size(self._exactly(p.PREFIX.size))))

    def until(self, *kinds: type) -> Any:
        while True:
            frame = self.read()
            if isinstance(frame, kinds):
                return frame

    def load(self, model: str = "echo") -> Any:
        spec = LoadSpec(model=Model(id=model, kind="transcriber", rate=16_000))
        engine = EngineSpec(plugin="open_speech_echo", kind="transcriber", provider="echo", load=spec)
        self.send(p.Load(call=1, engine=engine))
        return self.until(p.Ready, p.Failed)

    def call(self, seconds: float = 1.0, number: int = 2, **options: Any) -> None:
        samples = Samples(data=np.zeros(round(16_000 * seconds), "<f4").tobytes(), rate=16_000)
        self.send(p.Call(call=number, request=TranscribeRequest(audio=samples, options=options), credit=100))

    def end_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def hang(self) -> None:
        """Load an engine and get it into a step that never ends."""
        self.load()
        self.call(1.0, fail="hang", fail_at=1)
        self.until(p.ItemFrame)
        time.sleep(0.1)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def ends_within(self, seconds: float) -> int:
        return self.process.wait(seconds)


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.stop()


def test_the_first_frame_is_hello(worker: Worker) -> None:
    assert worker.hello.protocol == p.PROTOCOL_VERSION
    assert worker.hello.api == API_VERSION
    assert worker.hello.pid == worker.process.pid


def test_it_loads_and_answers_a_call(worker: Worker) -> None:
    assert isinstance(worker.load(), p.Ready)
    worker.call(2.0)
    texts = []
    while not isinstance(frame := worker.until(p.ItemFrame, p.Done), p.Done):
        texts.append(getattr(frame.item, "text", None))
    assert texts == [None, " one", " two"]


def test_what_c_prints_goes_to_the_error_stream_and_not_into_the_channel(worker: Worker) -> None:
    worker.load()
    worker.call(1.0, fail="print")
    assert isinstance(worker.until(p.Done, p.Failed), p.Done)
    worker.end_input()
    assert worker.process.stderr is not None
    assert b"echo prints from C" in worker.process.stderr.read()
    assert worker.ends_within(SOON_S) == 0


def test_a_ping_is_answered_while_the_engine_is_in_a_long_step(worker: Worker) -> None:
    worker.hang()
    for number in range(3):
        since = time.monotonic()
        worker.send(p.Ping(number=number))
        assert worker.until(p.Pong) == p.Pong(number=number)
        assert time.monotonic() - since < 0.5


@pytest.mark.parametrize("doing", ["nothing", "a long step", "a load"])
def test_the_end_of_its_input_ends_it(doing: str) -> None:
    worker = Worker(ECHO_LOAD_FAIL="hang" if doing == "a load" else "")
    try:
        if doing == "a load":
            spec = LoadSpec(model=Model(id="echo", kind="transcriber", rate=16_000))
            engine = EngineSpec(plugin="open_speech_echo", kind="transcriber", provider="echo", load=spec)
            worker.send(p.Load(call=1, engine=engine))
            time.sleep(0.5)
        if doing == "a long step":
            worker.hang()
        worker.end_input()
        assert worker.ends_within(SOON_S) == 0
    finally:
        worker.stop()


def test_close_ends_it_also_in_a_long_step(worker: Worker) -> None:
    worker.hang()
    worker.send(p.Close())
    assert worker.ends_within(SOON_S + 1) == 0


def test_close_ends_it_at_once_when_it_is_idle(worker: Worker) -> None:
    worker.load()
    worker.send(p.Close())
    assert worker.ends_within(1.0) == 0


def test_an_interrupt_from_the_terminal_does_not_end_it(worker: Worker) -> None:
    worker.load()
    worker.process.send_signal(signal.SIGINT)
    worker.call(1.0)
    assert isinstance(worker.until(p.Done, p.Failed), p.Done)


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff", b"\x04\0\0\0\xc1\xc1\xc1\xc1", b"\x40"])
def test_input_that_is_no_frame_ends_it(worker: Worker, garbage: bytes) -> None:
    worker.hang()
    worker.write(garbage)
    if len(garbage) < p.PREFIX.size:
        worker.end_input()
    worker.ends_within(SOON_S)


@pytest.mark.parametrize(("fault", "status"), [("exit", 3), ("segfault", -signal.SIGSEGV)])
def test_faults_of_an_engine_end_the_process_with_their_status(worker: Worker, fault: str, status: int) -> None:
    worker.load()
    worker.call(3.0, fail=fault, fail_at=2)
    with pytest.raises(EOFError):
        worker.until(p.Done, p.Failed)
    assert worker.ends_within(SOON_S) == status


def test_a_log_record_is_sent_to_the_server(worker: Worker) -> None:
    worker.load()
    worker.call(1.0, fail="raise")
    record = worker.until(p.Log)
    assert record.level >= 40
    assert "RuntimeError" in record.message
    assert "strike" in record.message, "the log says where it failed"
    assert "private words" not in record.message


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_it_dies_with_a_parent_that_was_killed_even_if_its_input_stays_open(tmp_path: Path) -> None:
    # The pipe of its input is held open by this test, so that only the parent's death can end it.
    hold, give = os.pipe()
    code = f"""
import subprocess, sys, time
worker = subprocess.Popen({COMMAND!r}, stdin={hold}, stdout=subprocess.PIPE)
worker.stdout.read(4)
print(worker.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, pass_fds=[hold])
    try:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.kill()
        parent.wait()
        assert gone(pid, SOON_S)
    finally:
        parent.kill()
        parent.communicate()
        os.close(hold)
        os.close(give)


def gone(pid: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_its_cwd_s_modules_do_not_hide_the_standard_library(tmp_path: Path) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('taken from the working directory')")
    process = subprocess.run(
        [sys.executable, "-P", "-m", "open_speech_core.worker"],
        cwd=tmp_path,
        input=b"",
        capture_output=True,
        check=False,
        timeout=10,
    )
    assert process.returncode == 0, process.stderr
    assert p.decode_from_worker(process.stdout[p.PREFIX.size :])
