"""An engine in a worker of its own, as a server runs it: it loads there, and nothing of it is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from open_speech_core.errors import ProtocolError
from open_speech_core.providers import AnyProvider
from open_speech_core.testing.laws import Ledger
from open_speech_core.types import EngineSpec, LoadSpec
from open_speech_core.worker import protocol as p

LOAD_S = 300.0
END_S = 4.0
"""After a close: a worker ends itself within two seconds, whatever its engine does."""
PROC = Path("/proc")


def check_process(plugin: str, provider: AnyProvider, spec: LoadSpec, ledger: Ledger) -> None:
    """Load the engine in a worker, end that, and look for what it left."""
    engine = EngineSpec(plugin=plugin, kind=provider.kind, provider=provider.info.name, load=spec)
    path = os.pathsep.join(filter(None, sys.path))
    worker = subprocess.Popen(
        [sys.executable, "-m", "open_speech_core.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        with worker.stdin, worker.stdout:
            worker.stdin.write(p.encode(p.Load(call=1, engine=engine)))
            worker.stdin.flush()
            said = _loaded(worker)
            ledger.require("loads in a worker", said == "", said)
            worker.stdin.write(p.encode(p.Close()))
            worker.stdin.flush()
            since = time.monotonic()
            with suppress(subprocess.TimeoutExpired):
                worker.wait(END_S)
            took_s = time.monotonic() - since
            ledger.require(
                "ends with its worker", worker.returncode is not None, f"{took_s:.1f} s after a close it runs"
            )
        left = _session(worker.pid)
        ledger.require("leaves no process", not left, f"these it started and left: {', '.join(left)}")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, 9)
        worker.wait()


def _loaded(worker: subprocess.Popen[bytes]) -> str:
    """Read frames until it is loaded; empty, or what went wrong."""
    assert worker.stdout is not None
    until = time.monotonic() + LOAD_S
    while time.monotonic() < until:
        prefix = worker.stdout.read(p.PREFIX.size)
        if len(prefix) < p.PREFIX.size:
            return "its worker died while it loaded"
        try:
            frame = p.decode_from_worker(worker.stdout.read(p.frame_size(prefix)))
        except ProtocolError as error:
            return f"its worker sent something else than frames: {error.message}"
        if isinstance(frame, p.Ready):
            return ""
        if isinstance(frame, p.Failed):
            return frame.error.message
    return f"it did not load in {LOAD_S:.0f} s"


def _session(leader: int) -> list[str]:
    """Name the processes of a session; none where there is no /proc to ask."""
    found: list[str] = []
    for stat in PROC.glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = stat.read_text().rpartition(") ")
            state, _, _, session = rest.split()[:4]
            if int(session) == leader and state != "Z":
                found.append(name.partition("(")[2])
    return found
