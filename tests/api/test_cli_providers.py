"""A person lists, installs, watches and removes providers by the command."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.serving import Running
from api.test_cli import COMMAND, environment, run, run_in_terminal, say
from api.wheels_for_tests import NOTHING, Heard, Shop, environments


@pytest.fixture
def server(tmp_path: Path, shop: Shop) -> Iterator[Running]:
    shop.stock("alpha")
    shop.stock("omega", in_self_test='raise AssertionError("it heard nothing")')
    shop.change("alpha", size_mb=300, licence="Apache-2.0", weights_licence="CC-BY-4.0")
    shop.enter("absent", "tiny-absent", "1.0", "tiny_absent", requirements="alpha.txt")
    (tmp_path / "server").mkdir()
    running = Running(tmp_path / "server", NOTHING, {**shop.settings(), "OS_API_KEY": "secret"})
    running.client.headers["authorization"] = "Bearer secret"
    yield running
    running.stop()


def at(server: Running) -> tuple[str, ...]:
    return ("--url", server.url, "--api-key", "secret")


def listed(folder: Path, server: Running) -> dict[str, list[str]]:
    done = run(folder, "providers", *at(server))
    assert done.returncode == 0, say(done)
    rows = [re.split(r" {2,}", line) for line in done.stdout.decode().splitlines()]
    assert rows[0] == ["PROVIDER", "KINDS", "STATE", "VERSION", "LICENCE", "MB"]
    return {row[0]: row[1:] for row in rows[1:]}


def test_a_provider_is_listed_installed_and_removed(tmp_path: Path, server: Running) -> None:
    assert listed(tmp_path, server)["alpha"] == ["transcriber", "available", "Apache-2.0", "300"]
    done = run(tmp_path, "providers", "install", "alpha", *at(server))
    assert (done.returncode, done.stdout) == (0, b"")
    assert say(done) == (
        "Installing Alpha, about 300 MB; licence: Apache-2.0; of its weights: CC-BY-4.0.\nalpha 1.0 is installed.\n"
    )
    assert listed(tmp_path, server)["alpha"] == ["transcriber", "installed", "1.0", "MIT", "300"]
    assert Heard(server, "alpha").version == "1.0"
    again = run(tmp_path, "providers", "install", "alpha", *at(server))
    assert (again.returncode, say(again)) == (0, "Alpha 1.0 is installed already.\n")
    anew = run(tmp_path, "providers", "install", "alpha", "--again", *at(server))
    assert (anew.returncode, say(anew)) == (0, "alpha 1.0 is installed.\n")
    asked = run(tmp_path, "providers", "remove", "alpha", *at(server), stdin=b"n\n")
    assert asked.returncode == 130
    assert listed(tmp_path, server)["alpha"][1] == "installed"
    removed = run(tmp_path, "providers", "remove", "alpha", "--yes", *at(server))
    assert (removed.returncode, say(removed)) == (0, "alpha is removed.\n")
    assert listed(tmp_path, server)["alpha"][1] == "available"


def test_what_keeps_one_from_being_installed_is_told_with_the_list(tmp_path: Path, server: Running) -> None:
    done = run(tmp_path, "providers", *at(server))
    assert "absent: the wheel of tiny-absent 1.0 is not in the folder that OS_WHEELHOUSE names" in say(done)
    assert "alpha:" not in say(done)
    as_json = json.loads(run(tmp_path, "providers", "--json", *at(server)).stdout)
    assert {each["name"]: each["problem"] is None for each in as_json if each["name"] in ("alpha", "absent")} == {
        "alpha": True,
        "absent": False,
    }


def test_a_failed_install_shows_the_last_of_what_was_said(tmp_path: Path, server: Running) -> None:
    done = run(tmp_path, "providers", "install", "omega", *at(server))
    assert done.returncode == 1
    assert "loading omega-model\n" in say(done)
    assert say(done).endswith(
        "Error: omega was not installed while verifying: loading omega-model: "
        "the self-test of 'omega-model' failed: AssertionError: it heard nothing\n"
    )


def test_a_terminal_shows_the_step_and_the_last_line(tmp_path: Path, server: Running) -> None:
    code, shown = run_in_terminal(tmp_path, "providers", "install", "alpha", *at(server))
    assert code == 0
    assert "alpha: " in shown
    assert any(step in shown for step in ("making an environment", "third-party packages", "verifying"))
    assert "alpha 1.0 is installed." in shown


def test_who_leaves_ends_nothing_and_who_cancels_does(tmp_path: Path, shop: Shop) -> None:
    shop.stock("alpha")
    (tmp_path / "server").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        online = {"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": index, "OS_API_KEY": "secret"}
        server = Running(tmp_path / "server", NOTHING, {**shop.settings(), **online})
        server.client.headers["authorization"] = "Bearer secret"
        command = [*COMMAND, "providers", "install", "alpha", *at(server)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=tmp_path, env=environment(tmp_path))
        deadline = time.monotonic() + 20
        while not environments(server):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.terminate()
        process.communicate()
        assert listed(tmp_path, server)["alpha"][1] == "installing"
        cancelled = run(tmp_path, "providers", "cancel", "alpha", *at(server))
        assert (cancelled.returncode, say(cancelled)) == (0, "The install of alpha is cancelled.\n")
        assert environments(server) == []
        nothing = run(tmp_path, "providers", "cancel", "alpha", *at(server))
        assert (nothing.returncode, say(nothing)) == (1, "Error: alpha is not being installed\n")
        server.stop()


@pytest.mark.parametrize("verb", ["install", "remove", "cancel"])
def test_an_unknown_provider_a_wrong_key_and_no_server_are_told(tmp_path: Path, server: Running, verb: str) -> None:
    more = ("--yes",) if verb == "remove" else ()
    done = run(tmp_path, "providers", verb, "no; such", *more, *at(server))
    assert done.returncode == 1
    assert "no; such" in say(done)
    done = run(tmp_path, "providers", verb, "alpha", *more, "--url", server.url, "--api-key", "wrong")
    assert done.returncode == 1
    assert "--api-key" in say(done)
    done = run(tmp_path, "providers", verb, "alpha", *more, "--url", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "no server answers" in say(done)


def test_plugins_and_doctor_know_what_was_installed(tmp_path: Path, server: Running) -> None:
    assert run(tmp_path, "providers", "install", "alpha", *at(server)).returncode == 0
    there = {"OS_DATA_DIR": str(tmp_path / "server" / "data")}
    plugins = json.loads(run(tmp_path, "plugins", "--json", environ=there).stdout)
    alpha = next(each for each in plugins if each["name"] == "alpha")
    assert (alpha["version"], alpha["error"]) == ("1.0", None)
    table = run(tmp_path, "plugins", environ=there).stdout.decode()
    assert re.search(r"^alpha +tiny-alpha +1\.0 +ok, in an environment of its own$", table, re.MULTILINE)
    doctor = run(tmp_path, "doctor", environ=there).stdout.decode()
    assert "alpha-model" in doctor
