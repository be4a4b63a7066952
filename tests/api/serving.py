"""A real server for tests: a process of its own on loopback, watched from outside."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx
import psutil

ECHO = ("open_speech_echo",)
STARTER = ("open_speech_whisper", "open_speech_piper", "open_speech_silero", "open_speech_starter")

MAIN = """
import logging, os, sys
logging.basicConfig(level=os.environ.get("OS_LOG_LEVEL", "INFO").upper())
from open_speech_api.server import serve
from open_speech_api.settings import read_settings
from open_speech_core.plugins import discover
serve(read_settings(os.environ)[0], os.environ, plugins=discover(sys.argv[1:] or None))
"""


class Running:
    """One server process. ``stop`` ends it and says whether it left anything behind.

    ``command`` starts another environment's server, with the plugins that are installed there.
    """

    def __init__(
        self,
        folder: Path,
        plugins: tuple[str, ...] = ECHO,
        environ: Mapping[str, str] | None = None,
        *,
        command: Sequence[str] = (),
    ) -> None:
        self.port = free_port()
        tls = (environ or {}).get("OS_SSL_ENABLED") == "true"
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.certificates = folder / "data" / "certs"
        """Where the server keeps the certificate it made, if it speaks HTTPS."""
        self.run_folder = folder / "run"
        self.log_file = folder / f"server-{self.port}.log"
        own = {
            "OS_PORT": str(self.port),
            "OS_DATA_DIR": str(folder / "data"),
            "OS_RUN_DIR": str(self.run_folder),
        }
        self._log = self.log_file.open("wb")
        started = time.monotonic()
        self.process = subprocess.Popen(
            command or [sys.executable, "-c", MAIN, *plugins],
            env={**clean_environment(), **own, **(environ or {})},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        self.client = httpx.Client(base_url=self.url, timeout=60, trust_env=False, verify=False, http2=tls)
        self._await_health()
        self.startup_s = time.monotonic() - started

    def _await_health(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}: {self.log()}")
            try:
                if httpx.get(f"{self.url}/health", trust_env=False, timeout=5, verify=False).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.02)
        raise RuntimeError(f"the server did not start: {self.log()}")

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def workers(self) -> list[psutil.Process]:
        """Give the worker processes that live now."""
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [child for child in children if _is_worker(child)]

    def leftovers(self) -> list[str]:
        """Name the files in the run folder."""
        # Folders vanish while we look, which `Path.rglob` does not forgive.
        found = ((folder, name) for folder, folders, files in os.walk(self.run_folder) for name in (*folders, *files))
        return sorted(str(Path(folder, name).relative_to(self.run_folder)) for folder, name in found)

    def await_quiet(self, within_s: float = 5.0) -> None:
        """Wait until no request's files are left; fail when some stay."""
        deadline = time.monotonic() + within_s
        while left := self.leftovers():
            assert time.monotonic() < deadline, f"left in the run folder: {left}"
            time.sleep(0.02)

    def stop(self, within_s: float = 12.0) -> float:
        """Send SIGTERM and wait; give the seconds it took. Nothing of it lives afterwards."""
        workers = self.workers()
        since = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the server did not stop within {within_s} s: {self.log()[-2000:]}") from None
        finally:
            self.client.close()
            self._log.close()
        taken = time.monotonic() - since
        _, alive = psutil.wait_procs(workers, timeout=2)
        assert not alive, f"workers outlived the server: {alive}"
        return taken


StartServer = Callable[..., Running]
"""How a test starts a server of its own: plugins, then environment."""


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "open_speech_core.worker" in process.cmdline()
    except psutil.Error:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment() -> dict[str, str]:
    """Give this environment without settings of ours, with the tests' own plugins importable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "STT_", "TTS_", "ECHO_"))}
    kept["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), kept.get("PYTHONPATH", "")]).rstrip(
        os.pathsep
    )
    return kept
