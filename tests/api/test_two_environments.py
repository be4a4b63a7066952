"""Engines that cannot share their dependencies serve side by side, each in an environment made over HTTP."""

from __future__ import annotations

import os
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from api.serving import StartServer
from api.wheels_for_tests import NOTHING, Heard, Shop, install


def packages() -> dict[str, tuple[int, int]]:
    """Give every file of the environment that the server runs in, with its size and time."""
    found: dict[str, tuple[int, int]] = {}
    for folder, folders, files in os.walk(sysconfig.get_path("purelib")):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in files:
            status = os.stat(os.path.join(folder, name))
            found[os.path.join(folder, name)] = (status.st_size, status.st_mtime_ns)
    return found


def test_engines_that_cannot_share_a_package_serve_at_once(start_server: StartServer, shop: Shop) -> None:
    before = packages()
    shop.stock("alpha", pinned="1.0")
    shop.stock("beta", pinned="2.0")
    server = start_server(NOTHING, shop.settings())
    for name in ("alpha", "beta"):
        install(server, name)
        Heard(server, name)
    with ThreadPoolExecutor(2) as callers:
        alpha, beta = callers.map(lambda name: Heard(server, name, hold_s=1.0), ("alpha", "beta"))
    assert (alpha.pinned, beta.pinned) == ("1.0", "2.0")
    assert max(alpha.start, beta.start) < min(alpha.end, beta.end), "their calls overlapped in time"
    pythons = {Path(worker.cmdline()[0]).parent.parent.name for worker in server.workers()}
    assert {"alpha-1", "beta-1"} <= pythons
    assert packages() == before, "the environment of the server is as it was"
