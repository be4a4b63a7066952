"""A transcription asked for in JSON: the audio goes to disk, the rest is a form."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_speech_api.wire.json_audio import read_json_audio
from open_speech_api.wire.multipart import Form
from open_speech_api.wire.transcription import TranscriptionFields, decode_transcription
from open_speech_core.errors import InvalidRequest, UploadTooLarge

AUDIO = bytes(range(256)) * 400


def body_of(data: str, **more: object) -> bytes:
    return json.dumps({"model": "m", "input_audio": {"data": data, "format": "wav"}, **more}).encode()


def encoded(audio: bytes) -> str:
    return b64encode(audio).decode()


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def read(
    folder: Path,
    *chunks: bytes,
    max_file_bytes: int = 1_000_000,
    source: Callable[[], AsyncIterator[bytes]] | None = None,
) -> Form:
    async def run() -> Form:
        chunks_ = source() if source else stream(*chunks)
        return await read_json_audio(chunks_, folder=folder, max_file_bytes=max_file_bytes)

    return asyncio.run(run())


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("audio", [AUDIO, AUDIO[:10], AUDIO[:49_152], AUDIO[:49_153]])
@pytest.mark.parametrize(
    "write",
    [
        encoded,
        lambda audio: encoded(audio).rstrip("="),
        lambda audio: f"data:audio/wav;base64,{encoded(audio)}",
    ],
    ids=["padded", "unpadded", "data URL"],
)
def test_audio_of_any_length_and_form_is_decoded(folder: Path, audio: bytes, write: Callable[[bytes], str]) -> None:
    form = read(folder, body_of(write(audio)))
    assert form.path.read_bytes() == audio
    assert (form.filename, form.size_bytes, form.fields) == ("audio.wav", len(audio), {"model": "m"})
    form.path.unlink()


def test_escaped_slashes_are_read(folder: Path) -> None:
    audio = b"\xff" * 60_000
    form = read(folder, body_of(encoded(audio)).replace(b"/", b"\\/"))
    assert form.path.read_bytes() == audio
    form.path.unlink()


BODY = body_of(encoded(AUDIO), prompt='say "\\"', language="en").replace(b"/", b"\\/")


@given(cuts=st.lists(st.integers(0, len(BODY)), max_size=8).map(sorted))
@settings(deadline=None, max_examples=50)
def test_any_split_of_the_body_gives_the_same_form(cuts: list[int]) -> None:
    ends = [0, *cuts, len(BODY)]
    with TemporaryDirectory() as name:
        form = read(Path(name), *(BODY[a:b] for a, b in pairwise(ends)))
        assert form.path.read_bytes() == AUDIO
        assert form.fields == {"model": "m", "prompt": 'say "\\"', "language": "en"}


def test_escapes_are_read_byte_by_byte(folder: Path) -> None:
    body = body_of(encoded(b"\xff" * 9), prompt='a "\\" / b').replace(b"/", b"\\/")
    form = read(folder, *(bytes([byte]) for byte in body))
    assert (form.path.read_bytes(), form.fields["prompt"]) == (b"\xff" * 9, 'a "\\" / b')
    form.path.unlink()


def test_an_escape_may_be_cut_in_long_audio(folder: Path) -> None:
    audio = b"\xff" * 90_000
    body = body_of(encoded(audio)).replace(b"/", b"\\/")
    cut = body.index(b"\\/", 150_000) + 1
    form = read(folder, body[:100_000], body[100_000:cut], body[cut:])
    assert form.path.read_bytes() == audio
    form.path.unlink()


def test_only_the_audio_may_be_long(folder: Path) -> None:
    with pytest.raises(InvalidRequest, match="a text beside input_audio is longer than 65536 bytes"):
        read(folder, body_of("A" * 70_000, prompt="A" * 70_000))
    with pytest.raises(InvalidRequest, match="a text beside input_audio is longer than 65536 bytes"):
        read(folder, body_of("A" * 4, prompt="A" * 70_000))


def test_nothing_may_follow_the_padding(folder: Path) -> None:
    before, after = body_of("|").split(b"|")
    with pytest.raises(InvalidRequest, match="not valid base64"):
        read(folder, before + b"A" * 65_998 + b"==", b"AAAA" + after)


def test_values_of_every_kind_become_fields(folder: Path) -> None:
    form = read(
        folder,
        body_of(
            encoded(b"x"),
            temperature=0.5,
            stream=True,
            prompt=None,
            language="",
            timestamp_granularities=["word"],
            chunking_strategy={"type": "server_vad"},
        ),
    )
    form.path.unlink()
    decoded = decode_transcription(form.fields)
    assert decoded == TranscriptionFields(
        model="m",
        temperature=0.5,
        stream=True,
        timestamp_granularities=("word",),
        chunking_strategy=decoded.chunking_strategy,
    )
    assert decoded.chunking_strategy is not None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"nonsense", None),
        (b"\xff", None),
        (b'{"model": "\xff"}', None),
        (b'{"a":' + b"[" * 100_000, None),
        (b"[]", "input_audio"),
        (b'{"model": "m"}', "input_audio"),
        (b'{"input_audio": "x"}', "input_audio"),
        (b'{"input_audio": {"data": 5}}', "input_audio"),
        (body_of(""), "input_audio"),
        (body_of("not base64"), "input_audio"),
        (body_of("QQ==QUJD"), "input_audio"),
        (body_of("A"), "input_audio"),
        (body_of("data:audio/wav,plain"), "input_audio"),
        (body_of("A" * 65_536 + "!" * 65_536), "input_audio"),
        (body_of("A" * 65_534 + "==" + "A" * 4), "input_audio"),
        (body_of(encoded(AUDIO))[:-1], None),
        (body_of(encoded(AUDIO))[:100_000], None),
        (body_of(encoded(b"x"), prompt="A" * 70_000), "input_audio"),
        (body_of(encoded(AUDIO), prompt="A" * 70_000), "input_audio"),
        (body_of(encoded(b"x"), words=["A" * 60_000] * 20), "input_audio"),
    ],
)
@pytest.mark.parametrize("size", [1000, 10_000_000])
def test_a_bad_body_is_refused_and_leaves_no_file(folder: Path, body: bytes, param: str | None, size: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(folder, *(body[start : start + size] for start in range(0, len(body), size)))
    assert caught.value.param == param


def test_audio_over_the_limit_is_refused(folder: Path) -> None:
    with pytest.raises(UploadTooLarge):
        read(folder, body_of(encoded(AUDIO)), max_file_bytes=len(AUDIO) - 1)
    read(folder, body_of(encoded(AUDIO)), max_file_bytes=len(AUDIO)).path.unlink()


def test_an_endless_body_is_stopped(folder: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 100_000

    with pytest.raises(InvalidRequest, match="longer than 1048576 bytes"):
        read(folder, source=endless)


def test_long_audio_adds_little_memory(folder: Path) -> None:
    async def upload() -> AsyncIterator[bytes]:
        yield b'{"input_audio":{"data":"'
        for _ in range(1000):
            yield b"A" * 65_536
        yield b'"}}'

    tracemalloc.start()
    try:
        form = read(folder, source=upload, max_file_bytes=100_000_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert form.size_bytes == 49_152_000
    form.path.unlink()
    assert peak < 8_000_000
