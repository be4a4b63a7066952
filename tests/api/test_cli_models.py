"""A person loads, watches, unloads and deletes models by the command, with a bar in a terminal and none in a pipe."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.plugins_for_tests.weights import SIZE, STEPS
from api.runtime_for_tests import WEIGHTS
from api.serving import Running
from api.test_cli import COMMAND, environment, run, run_in_terminal, say

STEP_S = 0.15


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "server").mkdir()
    running = Running(
        tmp_path / "server", (WEIGHTS, "open_speech_echo"), {"WEIGHTS_STEP_S": str(STEP_S), "OS_API_KEY": "secret"}
    )
    running.client.headers["authorization"] = "Bearer secret"
    yield running
    running.stop()


def at(server: Running) -> tuple[str, ...]:
    return ("--url", server.url, "--api-key", "secret")


def state(server: Running, id: str) -> str:
    return str(server.client.get(f"/api/models/{id}").json()["state"])


def test_a_model_is_loaded_watched_unloaded_and_deleted(tmp_path: Path, server: Running) -> None:
    loaded = run(tmp_path, "models", "load", "org/slower", *at(server))
    assert loaded.returncode == 0
    assert loaded.stdout == b""
    assert say(loaded) == (
        "Fetching weights of unknown size of org/slower; licence: CC0-1.0.\norg/slower is loaded on cpu.\n"
    )
    assert state(server, "org/slower") == "loaded"
    watched = run(tmp_path, "models", "watch", "org/slower", *at(server))
    assert (watched.returncode, watched.stdout, say(watched)) == (0, b"loaded\n", "")
    assert say(run(tmp_path, "models", "unload", "org/slower", *at(server))) == "org/slower is unloaded.\n"
    assert state(server, "org/slower") == "downloaded"
    again = run(tmp_path, "models", "unload", "org/slower", *at(server))
    assert (again.returncode, say(again)) == (1, "Error: model 'org/slower' is not loaded\n")
    asked = run(tmp_path, "models", "delete", "org/slower", *at(server), stdin=b"n\n")
    assert asked.returncode == 130
    assert state(server, "org/slower") == "downloaded"
    deleted = run(tmp_path, "models", "delete", "org/slower", "--yes", *at(server))
    assert say(deleted) == f"org/slower is deleted; {SIZE / 1e6:.1f} MB are free again.\n"
    assert state(server, "org/slower") == "available"
    nothing = run(tmp_path, "models", "delete", "org/slower", "--yes", *at(server))
    assert (nothing.returncode, say(nothing)) == (1, "Error: nothing of org/slower is on that machine\n")


@pytest.mark.parametrize("verb", ["load", "download"])
def test_a_terminal_shows_how_far_it_is(tmp_path: Path, server: Running, verb: str) -> None:
    code, shown = run_in_terminal(tmp_path, "models", verb, "slow", *at(server))
    assert code == 0
    assert "slow: downloading" in shown
    assert f"{SIZE / 1000:.1f} kB" in shown or "/10.0 kB" in shown
    assert "kB/s" in shown
    assert state(server, "slow") == ("loaded" if verb == "load" else "downloaded")


def test_who_interrupts_ends_the_command_and_not_the_download(tmp_path: Path, server: Running) -> None:
    process = subprocess.Popen(
        [*COMMAND, "models", "download", "slow", *at(server)],
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment(tmp_path),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 10
    while state(server, "slow") != "downloading" and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=STEPS * STEP_S + 5)
    assert state(server, "slow") == "downloading", "the command did not wait for it"
    assert process.returncode == 130
    assert b"Traceback" not in errors
    watched = run(tmp_path, "models", "watch", "slow", *at(server))
    assert watched.stdout == b"downloaded\n"


def test_a_failed_download_is_told(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    environ = {"WEIGHTS_FAULT": "network", "WEIGHTS_STEP_S": "0"}
    server = Running(tmp_path / "server", (WEIGHTS, "open_speech_echo"), environ)
    for verb in ("load", "watch"):
        done = run(tmp_path, "models", verb, "slow", "--url", server.url)
        assert done.returncode == 1
        assert say(done).endswith("Error: the connection was lost; what came is kept\n")
    server.stop()


def test_the_list_shows_states(tmp_path: Path, server: Running) -> None:
    server.client.post("/api/models/echo/load")
    listed = {each["id"]: each for each in json.loads(run(tmp_path, "models", "--json", *at(server)).stdout)}
    assert listed["echo"] | {"kind": "stt", "provider": "echo", "state": "loaded", "device": "cpu"} == listed["echo"]
    assert "slow" not in listed
    everything = json.loads(run(tmp_path, "models", "--all", "--json", *at(server)).stdout)
    assert {"slow", "org/slower"} <= {each["id"] for each in everything}


@pytest.mark.parametrize("verb", ["load", "watch", "unload", "delete", "download"])
def test_an_unknown_model_and_a_wrong_key_are_told(tmp_path: Path, server: Running, verb: str) -> None:
    done = run(tmp_path, "models", verb, "nosuch", *at(server))
    assert done.returncode == 1
    assert "'nosuch' does not exist" in say(done)
    done = run(tmp_path, "models", verb, "slow", "--url", server.url, "--api-key", "wrong")
    assert done.returncode == 1
    assert "--api-key" in say(done)
