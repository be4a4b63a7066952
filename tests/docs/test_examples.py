"""The examples, and what the README shows, with real engines."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.calling import decoded
from api.serving import ECHO, Running
from docs.pages import DOCS, README, blocks
from docs.running import run_python, run_shell

pytestmark = pytest.mark.model

SAID = "The quick brown fox jumps over the lazy dog. Then it sleeps all day."
HEARD = re.compile(r"quick brown fox.*lazy dog", re.IGNORECASE | re.DOTALL)
EXAMPLES = DOCS / "examples"

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture(scope="module")
def recording(starter_server: Running) -> bytes:
    """A WAV of the server's own making, the same in every run."""
    body = {"input": SAID, "response_format": "wav"}
    return starter_server.client.post("/v1/audio/speech", json=body).raise_for_status().content


@pytest.fixture(scope="module")
def parrot_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose model repeats the voice it is given."""
    plugins = (*ECHO, "api.plugins_for_tests.cloning")
    server = Running(tmp_path_factory.mktemp("parrot"), plugins, {"TTS_MODEL": "parrot"})
    yield server
    server.await_quiet()
    server.stop()


@pytest.fixture
def folder(tmp_path: Path, recording: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the pages suppose it, which is the present one."""
    (tmp_path / "speech.wav").write_bytes(recording)
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path


def run(name: str, server: Running) -> None:
    pytest.importorskip("openai")
    run_python((EXAMPLES / name).read_text(encoding="utf-8"), name, server.port)


def lasts(data: bytes, format: str | None = None) -> float:
    samples, rate = decoded(data, format)
    assert abs(samples).max() > 0.05, "it is silent"
    return len(samples) / rate


def test_transcribe(starter_server: Running, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("transcribe.py", starter_server)
    assert HEARD.search(capsys.readouterr().out)


def test_transcribe_stream(starter_server: Running, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("transcribe_stream.py", starter_server)
    assert HEARD.search(capsys.readouterr().out)


def test_word_times(starter_server: Running, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("word_times.py", starter_server)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    times = [(float(start), float(end)) for start, end, _ in rows]
    assert HEARD.search(" ".join(word for _, _, word in rows))
    assert times == sorted(times)
    assert all(start <= end for start, end in times)


def test_subtitles(starter_server: Running, folder: Path) -> None:
    run("subtitles.py", starter_server)
    text = (folder / "speech.srt").read_text()
    assert re.match(r"1\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\n", text)
    assert HEARD.search(text)


def test_speak(starter_server: Running, folder: Path) -> None:
    run("speak.py", starter_server)
    assert 0.8 < lasts((folder / "hello.mp3").read_bytes()) < 4


def test_speak_stream(starter_server: Running, folder: Path) -> None:
    run("speak_stream.py", starter_server)
    assert 3 < (folder / "hello.pcm").stat().st_size / 2 / 24_000 < 12


def test_speak_sse(starter_server: Running, folder: Path) -> None:
    run("speak_sse.py", starter_server)
    assert 0.6 < lasts((folder / "hello.mp3").read_bytes()) < 4


def test_plain_http(starter_server: Running, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("plain_http.py", starter_server)
    said = capsys.readouterr().out
    assert HEARD.search(said)
    assert "engine;dur=" in said
    assert lasts((folder / "again.mp3").read_bytes()) > 2


def test_stored_voice(parrot_server: Running, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("stored_voice.py", parrot_server)
    seconds = lasts((folder / "speech.wav").read_bytes())
    assert float(capsys.readouterr().out) == pytest.approx(seconds, abs=0.01)
    assert lasts((folder / "hello.mp3").read_bytes()) == pytest.approx(seconds, abs=0.2)


def test_every_client_example_has_a_test() -> None:
    examples = {path.stem for path in EXAMPLES.glob("*.py")} - {"bell"}
    assert {f"test_{name}" for name in examples} <= set(globals())


@needs_curl
def test_the_readme_s_blocks_run_in_order(
    starter_server: Running, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openai")
    said: list[str] = []
    for block in blocks(README):
        if block.language == "bash":
            said.append(run_shell(block.text, folder, starter_server.port))
        elif block.language == "python":
            run_python(block.text, str(block), starter_server.port)
            said.append(capsys.readouterr().out)
    spoken, recognised, client, piped = said
    assert spoken == ""
    assert HEARD.search(recognised)
    # One short word is easily misheard.
    assert re.search(r"\w", client)
    assert "brown fox" in piped.lower()
    assert lasts((folder / "hello.mp3").read_bytes()) > 0.3


@needs_curl
def test_the_shell_blocks_of_stored_voices_run_in_order(parrot_server: Running, folder: Path) -> None:
    parrot_server.client.delete("/api/voices/library/anne")
    shown = [block for block in blocks(DOCS / "voices.md") if block.language == "bash"]
    stored, spoken, managed = [run_shell(block.text, folder, parrot_server.port) for block in shown]
    seconds = lasts((folder / "speech.wav").read_bytes())
    assert '"name":"anne"' in stored
    assert spoken == ""
    for name in ("hello.mp3", "again.mp3"):
        assert lasts((folder / name).read_bytes()) == pytest.approx(seconds, abs=0.2)
    assert managed.count(stored.strip("{}")) == 2
    assert (folder / "anne.wav").read_bytes()[:4] == b"RIFF"
    assert parrot_server.client.get("/api/voices/library").json() == []


@needs_curl
def test_the_shell_blocks_of_using_it_run_in_order(starter_server: Running, folder: Path) -> None:
    shown = [block for block in blocks(DOCS / "using.md") if block.language == "bash"]
    recognised, words, spoken, control = [run_shell(block.text, folder, starter_server.port) for block in shown]
    assert HEARD.search(recognised)
    assert "data: [DONE]" in recognised
    assert (folder / "speech.vtt").read_text().startswith("WEBVTT\n\n00:00:")
    assert '"words":[{"word":"' in words
    assert spoken == ""
    assert lasts((folder / "hello.opus").read_bytes()) > 0.8
    assert (folder / "hello.pcm").stat().st_size > 24_000
    assert '"status":"loaded"' in control
    assert '"status":"unloaded"' in control
    assert '"alias":true' in control


def test_what_troubleshooting_asks_first_answers(folder: Path) -> None:
    (block,) = (block for block in blocks(DOCS / "troubleshooting.md") if block.language == "bash")
    assert "Findings" in run_shell(block.text, folder, 8100)
