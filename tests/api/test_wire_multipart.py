"""Forms read from a stream of bytes: good ones, however they are cut, and bad ones."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_speech_api.wire.fields import FormValue
from open_speech_api.wire.multipart import Form, FormLimits, check_content_length, read_form
from open_speech_core.errors import InvalidRequest, StorageFull, UploadTooLarge

BOUNDARY = "frontier"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
AUDIO = b"RIFF\r\n--frontie\r\n--fronties\r\r\n--\x00\xff--frontier\r\n" * 3
FILE = b'form-data; name="file"; filename="a b.wav"'


def part(disposition: bytes, body: bytes, *headers: bytes) -> bytes:
    head = b"\r\n".join([b"Content-Disposition: " + disposition, *headers])
    return b"--frontier\r\n" + head + b"\r\n\r\n" + body + b"\r\n"


def text(name: str, body: bytes, *headers: bytes) -> bytes:
    return part(f'form-data; name="{name}"'.encode(), body, *headers)


def body_of(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--frontier--\r\n"


WHOLE = body_of(
    text("model", b"whisper-1"),
    part(FILE, AUDIO, b"Content-Type: audio/x-wav"),
    text("timestamp_granularities[]", b"word"),
    text("language", b""),
    text("prompt", "Grüße, 世界".encode(), b"Content-Type: text/plain; charset=UTF-8"),
    text("keywords[]", b"caf\xe9", b"content-type: text/plain; charset=iso-8859-1"),
    text("chunking_strategy[type]", b"server_vad"),
)
FIELDS: dict[str, FormValue] = {
    "model": "whisper-1",
    "timestamp_granularities": ("word",),
    "prompt": "Grüße, 世界",
    "keywords": ("café",),
    "chunking_strategy": {"type": "server_vad"},
}


async def stream(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def read(
    folder: Path,
    *chunks: bytes,
    content_type: str = CONTENT_TYPE,
    max_file_bytes: int = 10_000_000,
    limits: FormLimits | None = None,
    source: Callable[[], AsyncIterator[bytes]] | None = None,
) -> Form:
    async def run() -> Form:
        return await read_form(
            source() if source else stream(chunks),
            content_type,
            folder=folder,
            max_file_bytes=max_file_bytes,
            limits=limits,
        )

    return asyncio.run(run())


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give a folder that must be empty again after a failure: tests that succeed delete their file."""
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


def test_a_form_is_read_whole(folder: Path) -> None:
    form = read(folder, WHOLE)
    assert (form.filename, form.size_bytes, form.fields) == ("a b.wav", len(AUDIO), FIELDS)
    assert form.path.read_bytes() == AUDIO
    assert form.path.parent == folder
    assert stat.S_IMODE(form.path.stat().st_mode) == 0o600
    form.path.unlink()


@given(cuts=st.lists(st.integers(0, len(WHOLE)), max_size=12).map(sorted))
@settings(deadline=None)
def test_any_split_of_the_body_gives_the_same_form(cuts: list[int]) -> None:
    ends = [0, *cuts, len(WHOLE)]
    chunks = [WHOLE[start:end] for start, end in pairwise(ends)]
    with TemporaryDirectory() as name:
        form = read(Path(name), *chunks)
        assert form.path.read_bytes() == AUDIO
        assert (form.filename, form.size_bytes, form.fields) == ("a b.wav", len(AUDIO), FIELDS)


def test_byte_by_byte_and_with_an_epilogue(folder: Path) -> None:
    body = b"\r\n" + WHOLE + b"what follows the last boundary is not read"
    form = read(folder, *(bytes([byte]) for byte in body))
    assert form.fields == FIELDS
    assert form.path.read_bytes() == AUDIO
    form.path.unlink()


def test_an_empty_file_is_a_file(folder: Path) -> None:
    form = read(folder, body_of(part(FILE, b"")))
    assert (form.size_bytes, form.path.read_bytes()) == (0, b"")
    form.path.unlink()


def test_the_clients_file_name_is_no_path(folder: Path) -> None:
    form = read(folder, body_of(part(b'form-data; name="file"; filename="../../etc/passwd"', b"x")))
    assert form.filename == "../../etc/passwd"
    assert form.path.parent == folder
    form.path.unlink()


MALFORMED: dict[str, tuple[bytes, str, str]] = {
    "no file": (body_of(text("model", b"m")), "file", "no such file"),
    "no parts": (b"--frontier--\r\n", "file", "no such file"),
    "file as text": (body_of(text("file", b"RIFF")), "file", "came as text"),
    "file without a name": (
        body_of(part(b'form-data; name="file"; filename=""', b"x")),
        "file",
        "came as text",
    ),
    "two files": (body_of(part(FILE, b"a"), part(FILE, b"b")), "file", "only one file"),
    "file of another name": (
        body_of(part(b'form-data; name="audio"; filename="a.wav"', b"a")),
        "audio",
        "belongs in 'file'",
    ),
    "bad UTF-8": (body_of(text("prompt", b"caf\xe9")), "prompt", "not utf-8"),
    "unknown charset": (
        body_of(text("prompt[]", b"x", b"Content-Type: text/plain; charset=klingon")),
        "prompt",
        "unknown charset 'klingon'",
    ),
    "a codec that is no charset": (
        body_of(text("prompt", b"x", b"Content-Type: text/plain; charset=zlib")),
        "prompt",
        "unknown charset",
    ),
    "truncated in the file": (WHOLE[: WHOLE.index(b"RIFF") + 40], "file", "malformed"),
    "truncated before its end": (WHOLE[:-6], "chunking_strategy", "malformed"),
    "empty": (b"", "file", "malformed"),
    "another boundary": (WHOLE.replace(b"frontier", b"boundary"), "file", "start with its boundary"),
    "a preamble": (b"hello\r\n" + WHOLE, "file", "start with its boundary"),
    "JSON": (b'{"model": "whisper-1", "file": "..."}', "file", "start with its boundary"),
    "part without disposition": (b"--frontier\r\nX-A: b\r\n\r\nx\r\n--frontier--\r\n", "file", "malformed"),
    "part that is no form data": (body_of(part(b'attachment; name="a"', b"x")), "file", "malformed"),
    "header that is none, after a part": (text("model", b"m") + b"--frontier\r\nno\r\n", "file", "malformed"),
    "header that is none": (b"--frontier\r\nnonsense\r\n\r\nx\r\n--frontier--\r\n", "file", "malformed"),
    "header not UTF-8": (body_of(part(b'form-data; name="\xff"', b"x")), "file", "malformed"),
    "header without end": (b"--frontier\r\nX-A: " + b"a" * 10_000, "file", "malformed"),
    "wrong length of a part": (body_of(text("a", b"x", b"Content-Length: 7")), "a", "malformed"),
    "bytes after a boundary": (text("model", b"m") + b"--frontierX and more", "model", "malformed"),
    "contradicting brackets": (
        body_of(part(FILE, b"a"), text("x", b"1"), text("x[a]", b"2")),
        "x",
        "both as a text and as an object",
    ),
}


@pytest.mark.parametrize(("body", "param", "message"), MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("size", [1, 7, 1_000_000])
def test_a_bad_form_is_refused_and_leaves_no_file(
    folder: Path, body: bytes, param: str, message: str, size: int
) -> None:
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    with pytest.raises(InvalidRequest) as caught:
        read(folder, *chunks)
    assert caught.value.param == param
    assert message in caught.value.message


@pytest.mark.parametrize(
    "part_",
    [
        part(b"form-data", b"x"),
        part(b'form-data; name=""', b"x"),
        text("a\x00b", b"x"),
        text("a", b"x", b"X-A: b\nc"),
    ],
    ids=["no name", "empty name", "control character", "bare line feed"],
)
def test_a_part_without_a_usable_name_is_refused(folder: Path, part_: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"no name|malformed"):
        read(folder, body_of(part_, part(FILE, b"a")))


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "multipart/mixed; boundary=frontier",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary="a\nb"',
        "multipart/form-data; boundary=" + "a" * 300,
        "multipart/form-data; boundary=é",
    ],
)
def test_a_content_type_that_is_no_form_is_refused(folder: Path, content_type: str) -> None:
    with pytest.raises(InvalidRequest, match="multipart/form-data"):
        read(folder, WHOLE, content_type=content_type)


def test_a_quoted_boundary_is_read(folder: Path) -> None:
    read(folder, WHOLE, content_type='Multipart/Form-Data; charset=utf-8; boundary="frontier"').path.unlink()


def test_a_file_over_the_limit_is_stopped_early(folder: Path) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        yield WHOLE[: WHOLE.index(b"RIFF")]
        while True:
            taken += 65_536
            yield bytes(65_536)

    with pytest.raises(UploadTooLarge, match="larger than 3 MB") as caught:
        read(folder, source=endless, max_file_bytes=3_000_000)
    assert caught.value.param == "file"
    assert taken < 3_200_000


def test_a_file_of_exactly_the_limit_is_taken(folder: Path) -> None:
    read(folder, body_of(part(FILE, bytes(5000))), max_file_bytes=5000).path.unlink()
    with pytest.raises(UploadTooLarge):
        read(folder, body_of(part(FILE, bytes(5001))), max_file_bytes=5000)


def test_an_endless_text_is_refused_without_being_kept(folder: Path) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        yield text("prompt", b"")[:-2]
        for _ in range(150_000_000 // 65_536):
            taken += 65_536
            yield bytes(65_536)

    with pytest.raises(InvalidRequest, match="longer than 65536 bytes") as caught:
        read(folder, source=endless)
    assert caught.value.param == "prompt"
    assert taken <= 131_072


def test_texts_are_bounded_together_and_in_number(folder: Path) -> None:
    with pytest.raises(InvalidRequest, match="all texts together"):
        read(folder, body_of(*(text(f"t{number}", b"x" * 60_000) for number in range(20))))
    with pytest.raises(InvalidRequest, match="more than 200 parts"):
        read(folder, body_of(*(text("t", b"x") for _ in range(201))))


def test_references_of_speakers_may_be_long_but_not_many(folder: Path) -> None:
    reference = text("known_speaker_references[]", b"data:audio/wav;base64," + b"A" * 2_000_000)
    form = read(folder, body_of(part(FILE, b"a"), reference))
    assert len(form.fields["known_speaker_references"][0]) == 2_000_022  # type: ignore[index]
    form.path.unlink()
    with pytest.raises(InvalidRequest, match="at most 4"):
        read(folder, body_of(part(FILE, b"a"), *[reference] * 5))


def test_an_endless_epilogue_is_stopped(folder: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield WHOLE
        while True:
            yield bytes(1_000_000)

    with pytest.raises(UploadTooLarge):
        read(folder, source=endless, max_file_bytes=1000)


class ClientLeft(Exception):
    pass


def test_a_client_that_leaves_leaves_no_file(folder: Path) -> None:
    async def leaving() -> AsyncIterator[bytes]:
        yield WHOLE[:200] + bytes(3_000_000)
        raise ClientLeft

    with pytest.raises(ClientLeft):
        read(folder, source=leaving)


def test_a_cancelled_read_leaves_no_file(folder: Path) -> None:
    async def run() -> None:
        started = asyncio.Event()

        async def stuck() -> AsyncIterator[bytes]:
            yield WHOLE[: WHOLE.index(b"RIFF")] + bytes(3_000_000)
            started.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(read_form(stuck(), CONTENT_TYPE, folder=folder, max_file_bytes=10_000_000))
        await started.wait()
        assert len(list(folder.iterdir())) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_a_read_cancelled_during_a_write_leaves_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing, go_on = threading.Event(), threading.Event()
    fdopen = os.fdopen

    def slow_disk(*arguments: object) -> object:
        writing.set()
        go_on.wait(10)
        return fdopen(*arguments)  # type: ignore[call-overload]

    monkeypatch.setattr("open_speech_api.wire.spool.os.fdopen", slow_disk)

    async def run() -> None:
        task = asyncio.create_task(
            read_form(
                stream([body_of(part(FILE, bytes(2_000_000)))]),
                CONTENT_TYPE,
                folder=folder,
                max_file_bytes=10_000_000,
            )
        )
        await asyncio.to_thread(writing.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()

    asyncio.run(run())


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_and_leaves_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    def full(*_: object) -> None:
        raise OSError(error, os.strerror(error), "/a/path")

    monkeypatch.setattr("open_speech_api.wire.spool._append", full)
    with pytest.raises(StorageFull, match="not enough free disk") as caught:
        read(folder, WHOLE)
    assert "/a/path" not in caught.value.message


def test_the_loop_goes_on_while_the_disk_is_slow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    fdopen = os.fdopen

    def slow_disk(*arguments: object) -> object:
        assert gate.wait(10), "the loop did not run beside the write"
        return fdopen(*arguments)  # type: ignore[call-overload]

    monkeypatch.setattr("open_speech_api.wire.spool.os.fdopen", slow_disk)

    async def run() -> Form:
        asyncio.get_running_loop().call_later(0.01, gate.set)
        return await read_form(stream([WHOLE]), CONTENT_TYPE, folder=folder, max_file_bytes=10_000_000)

    asyncio.run(run()).path.unlink()


def test_an_hour_of_wav_adds_little_memory(folder: Path) -> None:
    hour_bytes = 3600 * 16_000 * 2
    head, tail = WHOLE.split(AUDIO)

    async def upload() -> AsyncIterator[bytes]:
        yield head
        for _ in range(hour_bytes // 65_536):
            yield bytes(65_536)
        yield tail

    tracemalloc.start()
    try:
        form = read(folder, source=upload, max_file_bytes=200_000_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert form.size_bytes == hour_bytes // 65_536 * 65_536
    form.path.unlink()
    assert peak < 8_000_000


@pytest.mark.parametrize("header", [None, "", "-1", "many", "1000", "²"])
def test_a_length_that_says_nothing_or_fits_passes(header: str | None) -> None:
    check_content_length(header, max_file_bytes=1000)


@pytest.mark.parametrize("header", ["50000000", "9" * 5000])
def test_a_length_over_the_limit_is_refused_before_the_body(header: str) -> None:
    with pytest.raises(UploadTooLarge, match=r"larger than 0\.001 MB"):
        check_content_length(header, max_file_bytes=1000)
