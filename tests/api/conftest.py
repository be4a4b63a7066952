"""Wheels and bundles to try things on; after a test over a shared server nothing of it is left, and that answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import loopback_hub
from api.bundling import FILES, MODEL, Things, make_things
from api.real import ONE, SENTENCE, SHORT, TALK, said
from api.serving import STARTER, Running
from api.test_cli import run, say
from api.wheels_for_tests import Shop, fill_index

SHARED = ("echo_server", "starter_server", "server")


@pytest.fixture(autouse=True)
def _left_as_it_was(request: pytest.FixtureRequest) -> Iterator[None]:
    servers = [request.getfixturevalue(name) for name in SHARED if name in request.fixturenames]
    yield
    for server in servers:
        assert isinstance(server, Running)
        server.await_quiet()
        assert server.client.get("/health").json()["status"] == "ok"


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Texts of ``real`` as WAV, spoken by the starter's voice."""
    pytest.importorskip("open_speech_starter")
    server = Running(tmp_path_factory.mktemp("voice"), STARTER, ONE)
    made = {text: said(server, text, response_format="wav").content for text in (SHORT, SENTENCE * 20, TALK)}
    server.stop()
    return made


@pytest.fixture(scope="session")
def recording(spoken: dict[str, bytes]) -> bytes:
    """A minute of one sentence, over which Whisper stumbles: it needs many seconds for each half of it."""
    return spoken[SENTENCE * 20]


@pytest.fixture(scope="session")
def talk(spoken: dict[str, bytes]) -> bytes:
    """A minute of different sentences."""
    return spoken[TALK]


@pytest.fixture(scope="session")
def short(spoken: dict[str, bytes]) -> bytes:
    """A word or two; a tone is no speech, and no engine would hear it."""
    return spoken[SHORT]


@pytest.fixture(scope="session")
def things(tmp_path_factory: pytest.TempPathFactory) -> Things:
    """What a connected machine has: wheels and a catalogue."""
    return make_things(tmp_path_factory.mktemp("things"))


@pytest.fixture(scope="session")
def bundle(things: Things, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of provider ``teller`` and its model; who changes it changes a copy."""
    folder = tmp_path_factory.mktemp("bundle")
    with loopback_hub.serving(FILES) as hub:
        done = run(folder, "bundle", "create", "made", "--model", MODEL, environ=things.environ(hub.url))
    assert done.returncode == 0, say(done)
    return folder / "made"


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of third-party wheels, all that installs in the tests ask for."""
    folder = tmp_path_factory.mktemp("packages") / "index"
    fill_index(folder)
    return folder


@pytest.fixture
def shop(tmp_path: Path, index: Path) -> Shop:
    """A wheelhouse and a catalogue of one's own."""
    folder = tmp_path / "shop"
    folder.mkdir()
    return Shop(folder, index)
