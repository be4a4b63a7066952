"""What every test may use: where real speech lies, and servers that stop by themselves."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from api.serving import ECHO, STARTER, Running, StartServer

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder with real speech, outside the project; the tests that want it skip where it is not."""
    folder = Path(os.environ.get("OPEN_SPEECH_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no test data: {folder} is not there (set OPEN_SPEECH_TEST_DATA)")
    return folder


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start servers of one's own; each is stopped at the end and must leave nothing behind."""
    started: list[Running] = []

    def start(plugins: tuple[str, ...] = ECHO, environ: Mapping[str, str] | None = None) -> Running:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Running(folder, plugins, environ))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.await_quiet()
        server.stop()
        assert not server.leftovers()


@pytest.fixture(scope="session")
def echo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server with the echo plugin for all tests that leave it as it was."""
    server = Running(tmp_path_factory.mktemp("echo"), ECHO)
    yield server
    server.await_quiet()
    server.stop()


@pytest.fixture(scope="session")
def starter_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server with real engines for all tests that leave it as it was; the same text is always the same sound."""
    pytest.importorskip("open_speech_starter")
    still = {"PIPER_NOISE_SCALE": "0", "PIPER_NOISE_W_SCALE": "0"}
    server = Running(tmp_path_factory.mktemp("starter"), STARTER, still)
    yield server
    server.await_quiet()
    server.stop()
