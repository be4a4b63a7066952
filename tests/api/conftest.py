"""After every test over a shared server: no request's files are left, and it still answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api.serving import Running

SHARED = ("echo_server", "starter_server", "server")


@pytest.fixture(autouse=True)
def _left_as_it_was(request: pytest.FixtureRequest) -> Iterator[None]:
    servers = [request.getfixturevalue(name) for name in SHARED if name in request.fixturenames]
    yield
    for server in servers:
        assert isinstance(server, Running)
        server.await_quiet()
        assert server.client.get("/health").json()["status"] == "ok"
