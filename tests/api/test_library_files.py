"""The library's folder when things go wrong at the worst moment, and the laws of names."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.serving import clean_environment
from open_speech_api.library import Library, clean_name
from open_speech_api.library.names import is_name, stored_name
from open_speech_core.errors import InvalidVoice, StorageFull, StoredVoiceNotFound, Unavailable, VoiceExists

OLD, NEW = b"RIFF" + b"o" * 3000, b"RIFF" + b"n" * 5000
NOON = datetime(2026, 5, 2, 12, tzinfo=UTC)

CHILD = """
import os, signal, sys
from pathlib import Path
from open_speech_api.library import Library

folder, what, last = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
calls = 0

def counted(function):
    def call(*arguments, **keywords):
        global calls
        calls += 1
        if calls > last:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **keywords)
    return call

for name in ("open", "mkdir", "fsync", "rename", "unlink"):
    setattr(os, name, counted(getattr(os, name)))
library = Library(folder, 0)
if what == "delete":
    library.remove("anne")
else:
    library.put("anne", b"RIFF" + b"n" * 5000, sample_rate=1, duration_s=1.0, overwrite=True)
"""


def library(folder: Path, max_count: int = 0) -> Library:
    return Library(folder, max_count, clock=lambda: NOON)


def put(into: Library, data: bytes, name: str = "anne", *, overwrite: bool = True) -> None:
    into.put(name, data, sample_rate=16_000, duration_s=1.23456, overwrite=overwrite)


def recording(of: Library, name: str = "anne") -> bytes | None:
    """Give what is stored, having seen that all ways of asking agree."""
    listed = {entry.name: entry for entry in of.voices()}
    try:
        entry, data = of.read(name)
    except StoredVoiceNotFound:
        assert name not in listed
        with pytest.raises(StoredVoiceNotFound):
            of.find(name)
        return None
    assert listed[name] == of.find(name) == entry
    assert entry.size_bytes == len(data)
    return data


def killed(folder: Path, what: str, after: int) -> bool:
    """Store or delete in a process that is killed after so many calls; False where it came to its end before."""
    arguments = [sys.executable, "-c", CHILD, str(folder), what, str(after)]
    done = subprocess.run(arguments, env=clean_environment(), check=False)
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0


@pytest.mark.parametrize(
    ("before", "what", "allowed"),
    [(None, "store", {None, NEW}), (OLD, "store", {OLD, NEW}), (OLD, "delete", {OLD, None})],
    ids=["first", "replaced", "deleted"],
)
def test_a_kill_leaves_the_voice_as_it_was_or_as_it_was_to_be(
    tmp_path: Path, before: bytes | None, what: str, allowed: set[bytes | None]
) -> None:
    seen: set[bytes | None] = set()
    for after in range(100):
        folder = tmp_path / str(after)
        of = library(folder)
        if before is not None:
            put(of, before)
        put(of, OLD, "zoe") if before is not None else None
        if not killed(folder, what, after):
            break
        seen.add(recording(of))
        assert before is None or recording(of, "zoe") == OLD
        put(of, OLD, "bert")
        hidden = [path.name for path in folder.iterdir() if path.name.startswith(".")]
        assert not hidden, "the next that is stored sweeps"
        put(of, NEW)
        assert recording(of) == NEW, "it can be stored again"
    assert after > 3
    assert seen == allowed
    assert recording(of) == (None if what == "delete" else NEW)


def test_a_recording_left_half_staged_is_no_voice(tmp_path: Path) -> None:
    of = library(tmp_path)
    put(of, OLD)
    for left in (NEW[:100], b"", NEW):
        (tmp_path / ".anne.staged.wav").write_bytes(left)
        assert recording(of) == OLD
        assert sorted(os.listdir(tmp_path)) == ["anne.audio.wav", "anne.meta.json"]


def test_another_server_on_the_folder_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing, go_on = threading.Event(), threading.Event()
    fsync = os.fsync

    def slow(descriptor: int) -> None:
        writing.set()
        assert go_on.wait(10)
        fsync(descriptor)

    monkeypatch.setattr("open_speech_api.library.entries.os.fsync", slow)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(put, library(tmp_path), OLD, overwrite=False)
        assert writing.wait(10)
        second = threads.submit(put, library(tmp_path), NEW, overwrite=False)
        reading = threads.submit(recording, library(tmp_path))
        assert not wait([second, reading], timeout=0.3).done
        go_on.set()
        first.result()
        with pytest.raises(VoiceExists):
            second.result()
        assert reading.result() == OLD


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    of = library(tmp_path)
    put(of, OLD)

    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number), "/a/path")

    with monkeypatch.context() as patch:
        patch.setattr(f"open_speech_api.library.entries.os.{call}", full)
        for name in ("anne", "bert"):
            with pytest.raises(StorageFull, match="not enough free disk") as caught:
                put(of, NEW, name)
            assert "/a/path" not in caught.value.message
    assert recording(of) == OLD
    assert sorted(os.listdir(tmp_path)) == ["anne.audio.wav", "anne.meta.json"]
    put(of, NEW)
    assert recording(of) == NEW


def test_a_disk_that_fails_is_said_without_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    of = library(tmp_path)

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "/a/path")

    monkeypatch.setattr("open_speech_api.library.entries.os.fsync", broken)
    with pytest.raises(Unavailable) as caught:
        put(of, NEW)
    assert "/a/path" not in caught.value.message
    assert "/a/path" in caplog.text
    assert not os.listdir(tmp_path)


def test_what_is_known_of_a_voice(tmp_path: Path) -> None:
    of = library(tmp_path)
    put(of, OLD)
    entry = of.find("anne")
    assert (entry.created_at, entry.duration_s, entry.sample_rate) == (NOON, 1.235, 16_000)


@given(st.text())
@example("\u0130 \u0131 \u212a \ufb01 \u00df \u2167 \u0661 \ud800")
def test_a_clean_name_is_a_name_and_stays_as_it_is(written: str) -> None:
    try:
        name = clean_name(written)
    except InvalidVoice:
        return
    assert is_name(name)
    assert clean_name(name) == name == stored_name(name)


@given(st.text())
@example("../anne")
@example("anne\n")
def test_a_voice_is_found_only_by_what_cleans_to_its_name(written: str) -> None:
    name = stored_name(written)
    assert name is None or name == clean_name(written)
    assert not (set(written) & set("/\\.\0%\n")) or name is None
