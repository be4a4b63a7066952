"""``docs/writing-a-plugin.md`` as its reader goes through it: install, check, serve, ask, share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from api.calling import decoded, pitch
from api.serving import Running, clean_environment, free_port
from docs.pages import DOCS, Block, blocks
from docs.running import run_shell

PLUGIN = DOCS / "examples" / "morse"
PAGE = DOCS / "writing-a-plugin.md"
OFFLINE = {"PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
"""The page's own commands, with what is here instead of a package index. ``0`` is pip's word for: no isolation."""
COMMAND = "#!{python}\nfrom open_speech_api.cli import main\n\nmain()\n"

StartServe = Callable[[Path, dict[str, str]], int]

pytest.importorskip("hatchling")
pytest.importorskip("editables")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment on top of the present one, so that what is installed there is gone after the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    site = next(folder.glob("lib/python*/site-packages"))
    present = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    (site / "present.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in present))
    command = folder / "bin" / "open-speech"
    command.write_text(COMMAND.format(python=python))
    command.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin's folder, as the author would have it: a copy of the example."""
    folder = tmp_path_factory.mktemp("author") / "morse"
    shutil.copytree(PLUGIN, folder, ignore=shutil.ignore_patterns("__pycache__", "dist"))
    return folder


def shown(start: str) -> Block:
    """Give the page's bash block that begins so."""
    (found,) = (block for block in blocks(PAGE) if block.language == "bash" and block.text.startswith(start))
    return found


def output_after(block: Block) -> list[str]:
    """Give the lines of the block without a language that follows, which is what the reader will see."""
    following = [each for each in blocks(PAGE) if each.line > block.line and not each.language]
    return following[0].text.splitlines()


def test_every_command_of_the_page_is_run_here() -> None:
    starts = {block.text.split(" http")[0].splitlines()[0] for block in blocks(PAGE) if block.language == "bash"}
    assert starts == {
        "open-speech plugin new my-engine --kind synthesizer",
        "open-speech plugin check morse",
        "python -m pip install -e .",
        "python -m pytest -q tests",
        "curl",
        "python -m pip wheel --no-deps --wheel-dir dist .",
    }


def test_the_page_works_from_the_first_command_to_the_last(
    environment: Path, plugin: Path, start_serve: StartServe
) -> None:
    own = {**OFFLINE, "PATH": os.pathsep.join([str(environment / "bin"), os.environ["PATH"]])}
    installing = shown("python -m pip install")
    listed = run_shell(installing.text, plugin, 1, own)
    for line in output_after(installing):
        assert " ".join(line.split()) in [" ".join(each.split()) for each in listed.splitlines()]
    assert "4 passed" in run_shell(shown("python -m pytest").text, plugin, 1, own)
    checked = run_shell(shown("open-speech plugin check").text, plugin, 1, own)
    assert checked.count("laws kept") == 4
    run_shell(shown("open-speech plugin new").text, plugin.parent, 1, own)
    assert (plugin.parent / "my-engine" / "open_speech_my_engine" / "engine.py").is_file()

    (serving,) = (block for block in blocks(PAGE) if block.language == "sh")
    setting, command = serving.text.split(maxsplit=1)
    assert command == "open-speech serve\n"
    port = start_serve(environment, dict([setting.split("=")]))
    asking = shown("curl")
    assert run_shell(asking.text, plugin, port, own).splitlines() == output_after(asking)
    samples, rate = decoded((plugin / "sos.wav").read_bytes())
    assert rate == 24_000
    assert pitch(samples, rate) == pytest.approx(600, abs=5)
    # Units of 60 ms: S 5, O 11, S 5, three between letters and seven after each word.
    assert len(samples) / rate > 0.06 * (5 + 3 + 11 + 3 + 5 + 7)

    run_shell(shown("python -m pip wheel").text, plugin, 1, own)
    assert [path.name for path in (plugin / "dist").iterdir()] == ["open_speech_morse-0.1.0-py3-none-any.whl"]


def test_a_broken_law_is_named_as_the_page_shows(tmp_path: Path) -> None:
    shutil.copytree(PLUGIN, tmp_path / "morse", ignore=shutil.ignore_patterns("__pycache__"))
    engine = tmp_path / "morse" / "open_speech_morse" / "speaking.py"
    engine.write_text(engine.read_text().replace("rate=RATE)", "rate=RATE // 2)"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    environ = {**clean_environment(), "PYTHONPATH": str(tmp_path / "morse")}
    done = subprocess.run(command, cwd=tmp_path / "morse", env=environ, capture_output=True, text=True, check=False)
    (law,) = output_after(shown("python -m pytest"))
    assert law in done.stdout


def test_its_wheel_is_found_and_served_where_only_the_folder_is_on_the_path(
    plugin: Path, tmp_path: Path, start_server: Callable[..., Running]
) -> None:
    target = tmp_path / "target"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), str(plugin)]
    subprocess.run(pip, check=True, env={**clean_environment(), **OFFLINE})
    assert not list(target.rglob("test_*")), "tests are no part of the wheel"
    path = os.pathsep.join([str(target), str(DOCS.parent / "tests")])
    server = start_server(("open_speech_morse",), {"PYTHONPATH": path, "MORSE_UNIT_MS": "40"})
    body = {"model": "morse", "voice": "alloy", "input": "Paris. 73!", "response_format": "mp3"}
    spoken = server.client.post("/v1/audio/speech", json=body).raise_for_status().content
    form = {"model": "morse", "response_format": "verbose_json", "timestamp_granularities[]": "word"}
    answer = server.client.post("/v1/audio/transcriptions", files={"file": spoken}, data=form).json()
    assert answer["text"] == "PARIS 73"
    assert [word["word"].strip() for word in answer["words"]] == ["PARIS", "73"]
    refused = server.client.post("/v1/audio/speech", json={**body, "pitch_hz": 5})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "pitch_hz")
    assert "pitch_hz" in server.client.get("/openapi.json").text


@pytest.fixture
def start_serve(tmp_path: Path) -> Iterator[StartServe]:
    """Start ``open-speech serve`` of an environment, with settings; give its port. It is stopped at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(environment: Path, own: dict[str, str]) -> int:
        port = free_port()
        more = {"OS_PORT": str(port), "OS_DATA_DIR": str(tmp_path / "data"), **own}
        serve = [str(environment / "bin" / "open-speech"), "serve"]
        with (tmp_path / "log").open("wb") as log:
            started.append(subprocess.Popen(serve, env={**clean_environment(), **more}, stdout=log, stderr=log))
        _await_health(f"http://127.0.0.1:{port}/health", started[-1], tmp_path / "log")
        return port

    yield start
    for process in started:
        process.terminate()
        assert process.wait(12) == 0


def _await_health(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"it did not start: {log.read_text()}")
