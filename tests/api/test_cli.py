"""The command ``open-speech``, run as a person or a script runs it."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from api.serving import Running, clean_environment, free_port
from open_speech_api.cli.wav import mend_sizes

COMMAND = (sys.executable, "-c", "from open_speech_api.cli import main; main()")
NOBODY = "http://127.0.0.1:1"
TEXT = "one two three four five six seven eight nine ten"


def environment(folder: Path, **own: str) -> dict[str, str]:
    return {**clean_environment(), "OS_DATA_DIR": str(folder / "data"), **own}


def run(
    folder: Path, *arguments: str, stdin: bytes = b"", environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the command with pipes."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        timeout=60,
        cwd=folder,
        env=environment(folder, **(environ or {})),
        check=False,
    )


def run_in_terminal(folder: Path, *arguments: str, stdout: int | None = None) -> tuple[int, str]:
    """Run the command in a terminal, or with ``stdout`` elsewhere; give its exit code and what was shown."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=theirs,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
        cwd=folder,
        env=environment(folder, TERM="xterm"),
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:
        pass  # The terminal's other end was closed: the process has ended.
    os.close(ours)
    return process.wait(30), shown.decode()


def say(done: subprocess.CompletedProcess[bytes]) -> str:
    return done.stderr.decode()


@pytest.fixture(scope="module")
def spoken(echo_server: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WAV file that the echo voice spoke."""
    folder = tmp_path_factory.mktemp("spoken")
    done = run(folder, "speak", TEXT, "--url", echo_server.url, "-o", "a.wav")
    assert done.returncode == 0, say(done)
    return folder / "a.wav"


class Answers(BaseHTTPRequestHandler):
    """A server that is not ours, or is broken, by the path's first word."""

    def do_GET(self) -> None:
        self._answer(b"<html>hello</html>", "text/html")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        way = self.path.split("/")[1]
        if way == "torn":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"RIFF")
        elif way == "events":
            events = [
                {"type": "transcript.text.delta", "delta": "half a "},
                {"error": {"message": "the worker ended", "code": "worker_died"}},
            ]
            body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
            self._answer(body.encode(), "text/event-stream")
        else:
            self._answer(b"<html>teapot</html>", "text/html", 418)

    def _answer(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def stranger() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_help_names_every_command_and_comes_at_once(tmp_path: Path) -> None:
    taken: list[float] = []
    for _ in range(3):
        since = time.monotonic()
        done = run(tmp_path, "--help")
        taken.append(time.monotonic() - since)
    for name in ("serve", "transcribe", "speak", "models", "plugins", "doctor"):
        assert f"  {name} " in done.stdout.decode()
    # It takes 50 ms on an idle machine; the limit leaves room for a busy one.
    assert min(taken) < 0.5


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys, open_speech_api.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"httpx", "rich", "numpy", "litestar", "granian", "cryptography", "open_speech_core"}


def test_version(tmp_path: Path) -> None:
    assert re.fullmatch(rb"open-speech \d+\.\d+.*\n", run(tmp_path, "--version").stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ("fly",),
        ("speak",),
        ("speak", "  "),
        ("speak", "x", "--format", "ogg"),
        ("speak", "x", "--speed", "9"),
        ("transcribe", "nowhere.wav"),
        ("transcribe", "."),
        ("transcribe", "-", "--stream", "--format", "srt"),
        ("models", "--url", "ftp://somewhere"),
        ("models", "--url", "http://"),
    ],
)
def test_bad_use_leaves_with_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == 2, say(done)
    assert "Error: " in say(done)
    assert "Traceback" not in say(done)
    assert done.stdout == b""


@pytest.mark.parametrize("arguments", [("transcribe", "-"), ("speak", "hello"), ("models",)])
def test_without_a_server_one_line_says_how_to_start_it(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(tmp_path, *arguments, "--url", NOBODY, stdin=b"audio")
    assert done.returncode == 1
    assert say(done) == f"Error: no server answers at {NOBODY}. Start one with: open-speech serve\n"


def test_the_address_follows_the_settings(tmp_path: Path) -> None:
    port = str(free_port())
    done = run(tmp_path, "speak", "x", environ={"OS_PORT": port})
    assert f"http://127.0.0.1:{port}." in say(done)
    done = run(tmp_path, "speak", "x", environ={"OS_PORT": port, "OS_HOST": "0.0.0.0"})
    assert f"https://127.0.0.1:{port}." in say(done)
    done = run(tmp_path, "speak", "x", environ={"OS_PORT": port, "OS_HOST": "::1"})
    assert f"http://[::1]:{port}." in say(done)
    done = run(tmp_path, "speak", "x", environ={"OS_PORT": "1", "OS_URL": f"localhost:{port}/v1/"})
    assert f"http://localhost:{port}." in say(done)


def test_a_proxy_is_not_asked_for_this_machine(tmp_path: Path, echo_server: Running) -> None:
    environ = {"http_proxy": NOBODY, "all_proxy": NOBODY, "no_proxy": ""}
    assert run(tmp_path, "models", "--url", echo_server.url, environ=environ).returncode == 0


def test_speak_and_transcribe_are_a_pipe(tmp_path: Path, echo_server: Running) -> None:
    environ = {"OS_URL": echo_server.url}
    audio = run(tmp_path, "speak", TEXT, environ=environ)
    assert audio.returncode == 0
    assert audio.stdout[:4] == b"RIFF"
    assert audio.stderr == b""
    text = run(tmp_path, "transcribe", "-", stdin=audio.stdout, environ=environ)
    assert text.returncode == 0
    assert text.stdout.strip()
    assert text.stdout.endswith(b"\n")
    assert text.stderr == b""


@pytest.mark.model
def test_what_is_spoken_is_understood(tmp_path: Path, starter_server: Running) -> None:
    sentence = "The quick brown fox jumps over the lazy dog."
    environ = {"OS_URL": starter_server.url}
    audio = run(tmp_path, "speak", sentence, environ=environ)
    text = run(tmp_path, "transcribe", "-", stdin=audio.stdout, environ=environ)
    # Whisper's capitals and stops follow the voice: words count.
    assert re.findall(r"\w+", text.stdout.decode().lower()) == re.findall(r"\w+", sentence.lower())


def test_text_comes_from_standard_input(tmp_path: Path, echo_server: Running) -> None:
    done = run(tmp_path, "speak", "-", "--url", echo_server.url, stdin="grüß dich".encode())
    assert done.stdout[:4] == b"RIFF"


@pytest.mark.parametrize(
    ("name", "start"),
    [("a.mp3", b"ID3"), ("a", b"ID3"), ("a.flac", b"fLaC"), ("a.OGG", b"OggS"), ("a.wav", b"RIFF")],
)
def test_the_output_s_name_decides_the_format(tmp_path: Path, echo_server: Running, name: str, start: bytes) -> None:
    done = run(tmp_path, "speak", TEXT, "--url", echo_server.url, "-o", name)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    content = (tmp_path / name).read_bytes()
    assert content.startswith(start) or (start == b"ID3" and content[0] == 0xFF)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_format_wins_over_the_name(tmp_path: Path, echo_server: Running) -> None:
    run(tmp_path, "speak", TEXT, "--url", echo_server.url, "-o", "a.mp3", "--format", "flac")
    assert (tmp_path / "a.mp3").read_bytes()[:4] == b"fLaC"


def test_a_written_wav_has_true_sizes(spoken: Path) -> None:
    with wave.open(str(spoken)) as file:
        frames = file.getnframes()
        assert len(file.readframes(frames)) == frames * 2 > 0
    assert struct.unpack("<I", spoken.read_bytes()[4:8])[0] == spoken.stat().st_size - 8


def test_a_written_file_has_the_usual_rights(spoken: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    assert spoken.stat().st_mode & 0o777 == 0o666 & ~mask


def test_audio_can_go_to_a_device(tmp_path: Path, echo_server: Running) -> None:
    assert run(tmp_path, "speak", TEXT, "--url", echo_server.url, "-o", "/dev/null").returncode == 0
    assert not Path("/dev/null").is_file()


def test_an_output_that_cannot_be_written_is_said_so(tmp_path: Path, echo_server: Running) -> None:
    done = run(tmp_path, "speak", TEXT, "--url", echo_server.url, "-o", "nowhere/a.wav")
    assert (done.returncode, say(done)) == (
        1,
        "Error: cannot write nowhere/a.wav: No such file or directory\n",
    )


def test_audio_is_not_shown_in_a_terminal(tmp_path: Path) -> None:
    code, shown = run_in_terminal(tmp_path, "speak", "hello", "--url", NOBODY)
    assert code == 2
    assert "-o" in shown


def test_a_torn_answer_leaves_no_file(tmp_path: Path, stranger: str) -> None:
    done = run(tmp_path, "speak", TEXT, "--url", f"{stranger}/torn", "-o", "a.wav")
    assert done.returncode == 1
    assert "broke before all was said" in say(done)
    assert list(tmp_path.iterdir()) == []


def test_a_torn_answer_keeps_the_file_that_was_there(tmp_path: Path, stranger: str) -> None:
    (tmp_path / "a.wav").write_bytes(b"old")
    run(tmp_path, "speak", TEXT, "--url", f"{stranger}/torn", "-o", "a.wav")
    assert (tmp_path / "a.wav").read_bytes() == b"old"


@pytest.mark.parametrize("format_", ["text", "json", "verbose_json", "diarized_json", "srt", "vtt", "rttm"])
def test_transcripts_come_in_every_format(echo_server: Running, spoken: Path, format_: str) -> None:
    done = run(spoken.parent, "transcribe", spoken.name, "--url", echo_server.url, "--format", format_)
    assert done.returncode == 0, say(done)
    text = done.stdout.decode()
    assert text.endswith("\n")
    if "json" in format_:
        assert json.loads(text)["text"]
    elif format_ == "vtt":
        assert text.startswith("WEBVTT")
    elif format_ == "srt":
        assert text.startswith("1\n00:00:0")
    elif format_ == "rttm":
        assert text.startswith(f"SPEAKER {spoken.stem} 1 0.000 ")


def test_a_streamed_transcript_is_the_same_text(echo_server: Running, spoken: Path) -> None:
    plain = run(spoken.parent, "transcribe", spoken.name, "--url", echo_server.url)
    streamed = run(spoken.parent, "transcribe", spoken.name, "--url", echo_server.url, "--stream")
    assert streamed.stdout.split() == plain.stdout.split() != []


def test_an_error_within_a_stream_is_told_after_what_came(tmp_path: Path, stranger: str) -> None:
    done = run(tmp_path, "transcribe", "-", "--stream", "--url", f"{stranger}/events", stdin=b"x")
    assert done.returncode == 1
    assert done.stdout == b"half a "
    assert say(done) == "Error: the worker ended\n"


def test_what_the_server_says_is_shown(tmp_path: Path, echo_server: Running) -> None:
    done = run(tmp_path, "speak", "x", "--model", "no-such-model", "--url", echo_server.url)
    assert done.returncode == 1
    assert "no-such-model" in say(done)
    done = run(tmp_path, "transcribe", "-", "--url", echo_server.url, stdin=b"this is no audio at all")
    assert done.returncode == 1
    assert say(done).startswith("Error: ")
    assert say(done).count("\n") == 1


def test_an_answer_of_another_server_is_told_apart(tmp_path: Path, stranger: str) -> None:
    done = run(tmp_path, "speak", "x", "--url", stranger)
    assert say(done) == "Error: the server answered 418 I'm a Teapot\n"
    done = run(tmp_path, "models", "--url", stranger)
    assert (done.returncode, say(done)) == (1, "Error: what answers there is no Open Speech server\n")


def test_empty_audio_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    for name in ("a.wav", "-"):
        done = run(tmp_path, "transcribe", name, "--url", NOBODY)
        assert done.returncode == 1
        assert "empty" in say(done)


def test_progress_is_shown_in_a_terminal_only(echo_server: Running, spoken: Path) -> None:
    code, shown = run_in_terminal(spoken.parent, "transcribe", spoken.name, "--url", echo_server.url)
    assert code == 0
    assert "Transcribing" in shown
    with (spoken.parent / "out").open("wb") as out:
        code, shown = run_in_terminal(spoken.parent, "speak", TEXT, "--url", echo_server.url, stdout=out.fileno())
    assert code == 0
    assert "Speaking" in shown
    assert (spoken.parent / "out").read_bytes()[:4] == b"RIFF"


def test_models_of_a_server(tmp_path: Path, echo_server: Running) -> None:
    done = run(tmp_path, "models", "--url", echo_server.url)
    head, *rows = done.stdout.decode().splitlines()
    assert head.split() == ["MODEL", "KIND", "PROVIDER", "STATE", "DEVICE", "MB"]
    assert any(row.split()[:3] == ["echo-voice", "tts", "echo"] for row in rows)
    listed = json.loads(run(tmp_path, "models", "--json", "--url", echo_server.url).stdout)
    assert "echo" in [model["id"] for model in listed]


def test_models_of_the_installation_without_a_server(tmp_path: Path) -> None:
    done = run(tmp_path, "models", environ={"OS_PORT": str(free_port())})
    assert done.returncode == 0
    assert "no server answers" in say(done)
    assert any(row.split()[:4] == ["echo", "stt", "echo", "downloaded"] for row in _rows(done))


def _rows(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    return done.stdout.decode().splitlines()[1:]


def test_fetching_a_model_that_is_here_or_unknown(tmp_path: Path) -> None:
    environ = {"OS_PORT": str(free_port())}
    done = run(tmp_path, "models", "download", "echo", environ=environ)
    assert (done.returncode, say(done)) == (0, "echo is here already.\n")
    done = run(tmp_path, "models", "download", "no such model", environ=environ)
    assert done.returncode == 1
    assert "'no such model'" in say(done)


def test_plugins_are_listed(tmp_path: Path) -> None:
    assert any(row.split()[:2] == ["echo", "open-speech-echo"] for row in _rows(run(tmp_path, "plugins")))
    listed = json.loads(run(tmp_path, "plugins", "--json").stdout)
    assert {"name": "echo", "error": None}.items() <= next(
        record for record in listed if record["name"] == "echo"
    ).items()


def test_a_broken_plugin_is_listed_with_the_reason(tmp_path: Path) -> None:
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[open_speech]\nbroken = broken_plugin\n")
    (tmp_path / "broken_plugin.py").write_text("import a_module_that_is_not_there\n")
    done = run(tmp_path, "plugins", environ={"PYTHONPATH": str(tmp_path)})
    row = next(row for row in _rows(done) if row.startswith("broken"))
    assert "a_module_that_is_not_there" in row
    assert "Traceback" not in say(done)


def test_the_key_is_sent(tmp_path: Path, start_server: object) -> None:
    server = start_server(environ={"OS_API_KEY": "first,schlüssel"})  # type: ignore[operator]
    refused = run(tmp_path, "models", "--url", server.url)
    assert refused.returncode == 1
    assert "--api-key" in say(refused)
    assert run(tmp_path, "models", "--url", server.url, "--api-key", "schlüssel").returncode == 0
    assert run(tmp_path, "models", "--url", server.url, environ={"OS_API_KEY": "first,x"}).returncode == 0


def test_bad_settings_are_told_and_the_server_does_not_start(tmp_path: Path) -> None:
    environ = {"OS_QUEUE_MAX": "many", "STT_DEVICE": "gpu", "OS_API_KEY": ","}
    done = run(tmp_path, "serve", "--port", "99999", environ=environ)
    assert done.returncode == 1
    assert say(done).splitlines() == [
        "Error: 4 settings are wrong:",
        "  OS_PORT = '99999': must be a whole number from 1 to 65535",
        "  OS_QUEUE_MAX = 'many': must be a whole number of at least 1",
        "  STT_DEVICE = 'gpu': must be auto, cpu, cuda or cuda:N",
        "  OS_API_KEY: holds commas and no key",
    ]


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run(tmp_path, "serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "cannot listen on 127.0.0.1:" in say(done)


@contextmanager
def serving(folder: Path, *arguments: str, **environ: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run ``serve`` until its greeting; give the process and that line."""
    with (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [*COMMAND, "serve", *arguments],
            stdout=subprocess.PIPE,
            stderr=err,
            cwd=folder,
            env=environment(folder, **environ),
        )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().decode()
    finally:
        process.terminate()
        process.communicate(timeout=12)


def test_serve_greets_in_one_line_and_ends_quietly_at_ctrl_c(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, "--port", str(port), STT_DEFAULT_MODEL="echo") as (process, greeting):
        assert f"http://127.0.0.1:{port}/web " in greeting
        assert f"http://127.0.0.1:{port}/docs " in greeting
        assert run(tmp_path, "models", environ={"OS_PORT": str(port)}).returncode == 0
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=12)
    assert rest == b""
    logged = (tmp_path / "err").read_text()
    assert "STT_DEFAULT_MODEL is an old name; please rename it to STT_MODEL" in logged
    assert "Traceback" not in logged


def test_our_own_certificate_is_trusted_on_this_machine_and_not_elsewhere(tmp_path: Path) -> None:
    port = str(free_port())
    with serving(tmp_path, OS_PORT=port, OS_SSL_ENABLED="true") as (_, greeting):
        assert f"https://127.0.0.1:{port}/web" in greeting
        assert run(tmp_path, "models", environ={"OS_PORT": port, "OS_SSL_ENABLED": "1"}).returncode == 0
        url = f"https://127.0.0.1:{port}"
        elsewhere = {"OS_DATA_DIR": str(tmp_path / "elsewhere")}
        done = run(tmp_path, "models", "--url", url, environ=elsewhere)
        assert done.returncode == 1
        assert "--insecure" in say(done)
        assert run(tmp_path, "models", "--url", url, "--insecure", environ=elsewhere).returncode == 0
        plain = run(tmp_path, "models", "--url", f"http://127.0.0.1:{port}")
        assert plain.returncode == 1
        assert "https" in say(plain)


def test_https_to_a_server_without_it_is_told(tmp_path: Path, echo_server: Running) -> None:
    done = run(tmp_path, "models", "--url", echo_server.url.replace("http:", "https:"))
    assert done.returncode == 1
    assert "does not speak HTTPS" in say(done)


def test_ctrl_c_leaves_with_130_and_without_a_traceback(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = subprocess.Popen(
            [*COMMAND, "speak", "x", "-o", "a.wav", "--url", f"http://127.0.0.1:{silent.getsockname()[1]}"],
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=environment(tmp_path),
            # A shell's background job ignores the key, and so would all that it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        connection, _ = silent.accept()
        assert connection.recv(1 << 16)
        # It waits for the answer now. Between two system calls Python itself may miss a signal until the next comes.
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, shown = process.communicate(timeout=10)
        connection.close()
    assert process.returncode == 130
    assert b"Traceback" not in shown
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_ends_it_quietly(tmp_path: Path, echo_server: Running) -> None:
    process = subprocess.Popen(
        [*COMMAND, "speak", " ".join([TEXT] * 50), "--url", echo_server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment(tmp_path),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(30) == 1
    assert process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.parametrize("extra", [b"", b"LIST\x04\x00\x00\x00abcd", b"LIST\x03\x00\x00\x00abc\0"])
@pytest.mark.parametrize("unknown", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_unknown_sizes_of_a_wav_are_mended(extra: bytes, unknown: int) -> None:
    samples = bytes(range(100))
    format_ = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 24000, 48000, 2, 16)
    streamed = b"RIFF" + struct.pack("<I", unknown) + b"WAVE" + format_ + extra
    file = io.BytesIO(streamed + b"data" + struct.pack("<I", unknown) + samples)
    mend_sizes(file)
    whole = file.getvalue()
    assert struct.unpack("<I", whole[4:8])[0] == len(whole) - 8
    file.seek(0)
    with wave.open(file) as read:
        assert read.readframes(read.getnframes()) == samples


@pytest.mark.parametrize("content", [b"", b"RIFF", b"ID3" * 20, b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEjunk\xff\0\0\0"])
def test_what_is_no_wav_is_left_alone(content: bytes) -> None:
    file = io.BytesIO(content)
    mend_sizes(file)
    assert file.getvalue() == content


def test_true_sizes_are_left_alone() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setparams((1, 2, 24000, 0, "NONE", ""))
        made.writeframes(bytes(100))
    before = file.getvalue() + b"LIST\x04\x00\x00\x00abcd"
    file = io.BytesIO(before)
    mend_sizes(file)
    assert file.getvalue() == before


def test_models_all_lists_what_can_be_fetched(tmp_path: Path) -> None:
    pytest.importorskip("open_speech_whisper")
    environ = {"OS_PORT": str(free_port())}
    done = run(tmp_path, "models", "--all", "--json", environ=environ)
    assert done.returncode == 0, say(done)
    assert b"Systran/faster-whisper-base" in done.stdout
    assert b"Systran/faster-whisper-base" not in run(tmp_path, "models", "--json", environ=environ).stdout
