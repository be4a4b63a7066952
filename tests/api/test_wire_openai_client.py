"""What the official client really sends, captured from it, read by the form reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from open_speech_api.wire.multipart import Form, read_form
from open_speech_api.wire.speech import SpeechFields, decode_speech
from open_speech_api.wire.transcription import (
    ServerVad,
    TranscriptionFields,
    TranslationFields,
    decode_transcription,
    decode_translation,
)

openai = pytest.importorskip("openai")
httpx = pytest.importorskip("httpx2")

AUDIO = b"RIFF\x00\xff\r\n--not the boundary" * 5000


def captured(call: Callable[[Any], object]) -> tuple[str, list[bytes]]:
    """Run ``call`` on a client whose network keeps the request instead of sending it."""
    kept: list[tuple[str, list[bytes]]] = []

    def keep(request: Any) -> Any:
        kept.append((request.headers["content-type"], list(request.stream)))
        return httpx.Response(200, json={"text": ""})

    with httpx.Client(transport=httpx.MockTransport(keep)) as network:
        call(openai.OpenAI(api_key="k", base_url="http://test/v1", http_client=network))
    (request,) = kept
    return request


def read(folder: Path, request: tuple[str, list[bytes]]) -> Form:
    content_type, chunks = request

    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    form = asyncio.run(read_form(stream(), content_type, folder=folder, max_file_bytes=1_000_000))
    assert form.path.read_bytes() == AUDIO
    return form


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, TranscriptionFields(model="whisper-1")),
        (
            {"response_format": "verbose_json", "timestamp_granularities": ["word"], "temperature": 0.0},
            TranscriptionFields(
                model="whisper-1",
                response_format="verbose_json",
                timestamp_granularities=("word",),
                temperature=0.0,
            ),
        ),
        (
            {"timestamp_granularities": ["word", "segment"], "language": "en", "prompt": "Grüße, 世界"},
            TranscriptionFields(
                model="whisper-1",
                timestamp_granularities=("word", "segment"),
                language="en",
                prompt="Grüße, 世界",
            ),
        ),
        (
            {"chunking_strategy": {"type": "server_vad", "threshold": 0.25, "silence_duration_ms": 500}},
            TranscriptionFields(
                model="whisper-1", chunking_strategy=ServerVad(threshold=0.25, silence_duration_ms=500)
            ),
        ),
        ({"chunking_strategy": "auto"}, TranscriptionFields(model="whisper-1", chunking_strategy="auto")),
        (
            {"include": ["logprobs"], "stream": True},
            TranscriptionFields(model="whisper-1", include=("logprobs",), stream=True),
        ),
        (
            {
                "known_speaker_names": ["Ann", "Bob"],
                "known_speaker_references": ["data:audio/wav;base64,AA==", "data:audio/wav;base64,AQ=="],
                "extra_body": {"diarize": True},
            },
            TranscriptionFields(
                model="whisper-1",
                known_speaker_names=("Ann", "Bob"),
                known_speaker_references=("data:audio/wav;base64,AA==", "data:audio/wav;base64,AQ=="),
                diarize=True,
            ),
        ),
    ],
    ids=["plain", "one granularity", "two granularities", "vad", "auto", "stream", "speakers"],
)
def test_transcriptions_are_read(tmp_path: Path, options: Any, expected: TranscriptionFields) -> None:
    def call(client: Any) -> object:
        return client.audio.transcriptions.create(model="whisper-1", file=("jfk.wav", AUDIO), **options)

    form = read(tmp_path, captured(call))
    assert form.filename == "jfk.wav"
    assert decode_transcription(form.fields) == expected


def test_a_file_that_is_streamed_from_disk_is_read(tmp_path: Path) -> None:
    path = tmp_path / "Überraschung.wav"
    path.write_bytes(AUDIO)
    form = read(tmp_path, captured(lambda client: client.audio.transcriptions.create(model="m", file=path.open("rb"))))
    assert form.filename == "Überraschung.wav"


def test_translations_are_read(tmp_path: Path) -> None:
    def call(client: Any) -> object:
        with pytest.warns(DeprecationWarning, match="deprecated"):
            return client.audio.translations.create(model="m", file=("a.wav", AUDIO), response_format="json")

    form = read(tmp_path, captured(call))
    assert decode_translation(form.fields) == TranslationFields(model="m", response_format="json")


def test_speech_is_read() -> None:
    def call(client: Any) -> object:
        return client.audio.speech.create(
            model="tts-1", input="Hello.", voice="alloy", speed=1.5, extra_body={"noise_scale": 0.3}
        )

    content_type, chunks = captured(call)
    fields, sent = decode_speech(b"".join(chunks), max_input_characters=4096)
    assert content_type == "application/json"
    assert fields == SpeechFields(input="Hello.", model="tts-1", voice="alloy", speed=1.5)
    assert sent["noise_scale"] == 0.3
