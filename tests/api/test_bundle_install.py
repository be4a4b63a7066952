"""Installing a bundle where there is no network, and being killed while doing so."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.bundling import FILES, MODEL, SAID, sha256
from api.serving import Running, clean_environment
from api.test_cli import COMMAND, environment, run, say
from open_speech_core.remote import DESCRIPTION

pytestmark = pytest.mark.slow

NOTHING = ("broken_nothing",)
QUIET = {"STT_VAD_ENABLED": "false", "OS_AUTO_DOWNLOAD": "false"}
FAR_AWAY = "Systran/faster-whisper-large-v2"
HOME = Path("data", "models", "teller")
KILLED = """
import os, signal, sys
event, holds, left = sys.argv[1], sys.argv[2], int(sys.argv[3])

def look(found, arguments):
    global left
    if found == event and holds in repr(arguments):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.argv[1:4] = []
sys.addaudithook(look)
from open_speech_api.cli import main
main()
"""
MOMENTS = {
    "as weights are copied": ("open", ".bundle/new/org--teller/weights.bin", 0),
    "before weights are in place": ("os.rename", ".bundle/new/org--teller", 0),
    "as an environment is made": ("subprocess.Popen", "venv", 0),
    "before our own wheels are installed": ("subprocess.Popen", "tiny_teller-1.0", 0),
    "as it is verified": ("subprocess.Popen", "open_speech_core.worker", 0),
    "before it is in force": ("os.rename", "teller-1/description", 0),
}
"""Audit events of the command at which it is killed: the event, what its arguments hold, and how often it may pass."""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(b"\0\1" * 16000)
    return path


@contextmanager
def trap() -> Iterator[tuple[str, list[object]]]:
    """Listen where a proxy and an index are said to be; give the address, and a list of who came."""
    visitors: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as door:

        def watch() -> None:
            while True:
                try:
                    visitor, address = door.accept()
                except OSError:
                    return
                visitors.append(address)
                visitor.close()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}", visitors
        finally:
            door.shutdown(socket.SHUT_RDWR)
            thread.join()


def namespace() -> tuple[str, ...]:
    """Give the command that runs another without a network; skip where that is not allowed."""
    for flags in (("-n",), ("-r", "-n")):
        command = ("unshare", *flags)
        if shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True).returncode == 0:
            return command
    pytest.skip("no network namespace can be made here")


def heard(server: Running, recording: Path) -> object:
    answer = server.client.post(
        "/v1/audio/transcriptions",
        files={"file": ("a.wav", recording.read_bytes())},
        data={"model": MODEL},
    )
    return answer.json()


def in_force(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob(f"data/providers/teller-*/{DESCRIPTION}"))


def test_without_a_network_it_is_installed_and_serves(tmp_path: Path, bundle: Path, recording: Path) -> None:
    carried = tmp_path / "a stick" / "made"
    shutil.copytree(bundle, carried)
    program = Path(__file__).with_name("without_a_network.py")
    done = subprocess.run(
        [*namespace(), sys.executable, str(program), str(tmp_path), str(carried), str(recording)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert answer["text"] == {"text": SAID.decode()}
    assert answer["said"].startswith(f"Installed: teller, {MODEL}. Restart a server that runs.\n")
    (teller,) = (each for each in answer["there"] if each["name"] == "teller")
    assert (teller["state"], teller["where"], teller["version"]) == ("installed", "own", "1.0")


def test_nobody_is_asked_and_what_it_replaces_serves_on(tmp_path: Path, bundle: Path, recording: Path) -> None:
    with trap() as (address, visitors):
        environ = {name: address for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "HF_ENDPOINT")}
        environ |= {"PIP_INDEX_URL": f"{address}/simple", "PIP_EXTRA_INDEX_URL": f"{address}/more", "no_proxy": ""}
        environ |= {"STT_MODEL": FAR_AWAY}
        data = {"OS_DATA_DIR": str(tmp_path / "data")}
        first = run(tmp_path, "bundle", "install", str(bundle), environ=environ)
        assert first.returncode == 0, say(first)
        advice = f"Set STT_MODEL={MODEL}: the default, {FAR_AWAY}, is not on this machine."
        assert say(first).splitlines()[-1] == advice
        (tmp_path / "running").mkdir()
        server = Running(tmp_path / "running", NOTHING, {**QUIET, **data})
        try:
            second = run(tmp_path, "bundle", "install", str(bundle), environ=environ)
            assert second.returncode == 0, say(second)
            assert in_force(tmp_path) == ["teller-2"]
            # Its worker starts only now, in the environment that was replaced.
            assert heard(server, recording) == {"text": SAID.decode()}
        finally:
            server.stop()
        assert visitors == []
    again = Running(tmp_path / "running", NOTHING, {**QUIET, **data})
    assert heard(again, recording) == {"text": SAID.decode()}
    again.stop()
    assert not (tmp_path / "data" / "providers" / "teller-1").exists()


@pytest.mark.timeout(300)
def test_killed_at_any_moment_nothing_is_half_in_force(tmp_path: Path, bundle: Path, recording: Path) -> None:
    for moment, (event, holds, passes) in MOMENTS.items():
        command = [sys.executable, "-c", KILLED, event, holds, str(passes), "bundle", "install", str(bundle)]
        done = subprocess.run(command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, check=False)
        assert done.returncode == -signal.SIGKILL, (moment, done.stderr)
        assert in_force(tmp_path) == [], moment
        folder = tmp_path / HOME / "org--teller"
        assert not folder.exists() or {path.name for path in folder.iterdir()} == set(FILES), moment
    (tmp_path / HOME / ".bundle").mkdir()
    (tmp_path / "started").mkdir()
    server = Running(tmp_path / "started", NOTHING, {**QUIET, "OS_DATA_DIR": str(tmp_path / "data")})
    deadline = time.monotonic() + 10
    while (left := [path.name for path in (tmp_path / "data" / "providers").iterdir()]) != ["jobs"]:
        assert time.monotonic() < deadline, f"a start clears up: {left}"
        time.sleep(0.05)
    server.stop()
    assert not (tmp_path / HOME / ".bundle").exists()
    done = run(tmp_path, "bundle", "install", str(bundle))
    assert done.returncode == 0, say(done)
    assert in_force(tmp_path) == ["teller-1"]
    server = Running(tmp_path / "started", NOTHING, {**QUIET, "OS_DATA_DIR": str(tmp_path / "data")})
    assert heard(server, recording) == {"text": SAID.decode()}
    server.stop()


def test_a_provider_that_does_not_work_leaves_the_old_one(tmp_path: Path, bundle: Path) -> None:
    """Its weights are put in place, but they are none: the worker that tries them says so."""
    assert run(tmp_path, "bundle", "install", str(bundle)).returncode == 0
    spoilt = tmp_path / "spoilt"
    shutil.copytree(bundle, spoilt)
    weights = spoilt / "weights" / "teller" / "org--teller" / "weights.bin"
    weights.write_bytes(b"\xff" * len(FILES["weights.bin"]))
    manifest = json.loads((spoilt / "manifest.json").read_text())
    for file in manifest["files"]:
        if file["path"].endswith("weights.bin"):
            file["sha256"] = sha256(weights)
    (spoilt / "manifest.json").write_text(json.dumps(manifest))
    done = run(tmp_path, "bundle", "install", "spoilt")
    assert done.returncode == 1
    assert "teller was not installed" in say(done)
    assert in_force(tmp_path) == ["teller-1"]


def begin(folder: Path, bundle: Path) -> subprocess.Popen[bytes]:
    """Start an install, and give it when it is making an environment."""
    process = subprocess.Popen(
        [*COMMAND, "bundle", "install", str(bundle)],
        cwd=folder,
        env=environment(folder),
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not (folder / "data" / "providers" / "teller-1" / "made.json").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return process


def test_two_at_once_and_a_server_that_starts_do_no_harm(tmp_path: Path, bundle: Path) -> None:
    first = begin(tmp_path, bundle)
    second = run(tmp_path, "bundle", "install", str(bundle))
    assert second.returncode == 1
    assert "another bundle is being installed" in say(second)
    (tmp_path / "started").mkdir()
    server = Running(tmp_path / "started", NOTHING, {**QUIET, "OS_DATA_DIR": str(tmp_path / "data")})
    _, errors = first.communicate(timeout=100)
    server.stop()
    assert first.returncode == 0, errors
    assert in_force(tmp_path) == ["teller-1"]


def test_ctrl_c_leaves_nothing_unfinished(tmp_path: Path, bundle: Path) -> None:
    process = begin(tmp_path, bundle)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, b"Traceback" in errors) == (130, False), errors
    assert [path.name for path in (tmp_path / "data" / "providers").iterdir()] == ["jobs"]
