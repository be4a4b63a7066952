"""The official client with only ``base_url`` changed."""

from __future__ import annotations

import asyncio
import base64
import io
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.calling import decoded, speech_file, tone
from api.runtime_for_tests import WEIGHTS
from api.serving import Running, StartServer

openai = pytest.importorskip("openai")

CHUNKING = {"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 300, "prefix_padding_ms": 100}
Call = Callable[[Any], Any]


def wav_file() -> tuple[str, bytes]:
    return "speech.wav", tone(3.0)


@pytest.fixture
def client(echo_server: Running) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{echo_server.url}/v1", api_key="anything", max_retries=0) as made:
        yield made


def asked_both_ways(server: Running, call: Call) -> Iterator[Any]:
    """Give what the client and its twin for asyncio answer."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=0) as plain:
        yield call(plain)

    async def ask() -> Any:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=0) as later:
            answer = call(later)
            return await answer if isinstance(answer, Awaitable) else answer

    yield asyncio.run(ask())


@pytest.mark.parametrize("file", [wav_file, lambda: io.BytesIO(tone(3.0)), lambda: tone(3.0)])
def test_transcription_as_json(client: Any, file: Callable[[], Any]) -> None:
    answer = client.audio.transcriptions.create(model="whisper-1", file=file())
    assert answer.text == "one two three"
    assert answer._request_id.startswith("req_")


def test_both_clients(echo_server: Running) -> None:
    for answer in asked_both_ways(
        echo_server, lambda client: client.audio.transcriptions.create(model="gpt-4o-transcribe", file=wav_file())
    ):
        assert answer.text == "one two three"
    for models in asked_both_ways(echo_server, lambda client: client.models.retrieve("echo")):
        assert models.id == "echo"
    for speech in asked_both_ways(
        echo_server,
        lambda client: client.audio.speech.create(model="tts-1", voice="alloy", input="hm", response_format="pcm"),
    ):
        assert len(speech.content) == 2 * round(24_000 * 0.12)


@pytest.mark.parametrize("format", ["text", "srt", "vtt"])
def test_transcription_as_text(client: Any, format: str) -> None:
    answer = client.audio.transcriptions.create(model="whisper-1", file=wav_file(), response_format=format)
    assert isinstance(answer, str)
    expected = {
        "text": "one two three\n",
        "srt": "1\n00:00:00,000 --> 00:00:01,000\none\n\n",
        "vtt": "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\none\n\n",
    }
    assert answer.startswith(expected[format])


def test_transcription_in_full(client: Any) -> None:
    answer = client.audio.transcriptions.create(
        model="whisper-1",
        file=wav_file(),
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
        language="en",
        prompt="Numbers.",
        temperature=0,
    )
    assert (answer.text, answer.language, answer.duration) == ("one two three", "english", 3.0)
    assert [(word.word, word.start, word.end) for word in answer.words] == [
        ("one", 0, 1),
        ("two", 1, 2),
        ("three", 2, 3),
    ]
    assert [segment.text for segment in answer.segments] == [" one", " two", " three"]
    assert (answer.segments[2].id, answer.segments[2].seek, answer.segments[2].avg_logprob) == (2, 200, -0.1)
    assert (answer.usage.type, answer.usage.seconds) == ("duration", 3)


def test_logprobs_and_chunking(client: Any) -> None:
    answer = client.audio.transcriptions.create(
        model="gpt-4o-transcribe", file=wav_file(), include=["logprobs"], chunking_strategy=CHUNKING
    )
    assert [entry.token for entry in answer.logprobs] == [" one", " two", " three"]
    answer = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=wav_file(), chunking_strategy="auto")
    assert answer.text == "one two three"


def test_who_said_what(client: Any) -> None:
    reference = f"data:audio/wav;base64,{base64.b64encode(tone(2.0)).decode()}"
    asked: dict[str, Any] = {
        "model": "gpt-4o-transcribe-diarize",
        "response_format": "diarized_json",
        "chunking_strategy": "auto",
        "extra_body": {"known_speaker_names": ["agent"], "known_speaker_references": [reference]},
    }
    answer = client.audio.transcriptions.create(file=wav_file(), **asked)
    assert type(answer).__name__ == "TranscriptionDiarized"
    assert [(segment.speaker, segment.text) for segment in answer.segments] == [
        ("agent", "one"),
        ("agent", "two"),
        ("A", "three"),
    ]
    found = list(client.audio.transcriptions.create(file=wav_file(), stream=True, **asked))
    segments = [event for event in found if event.type == "transcript.text.segment"]
    assert [event.speaker for event in segments] == ["agent", "agent", "A"]
    assert found[-1].text == "one two three"


def test_a_stream(client: Any) -> None:
    stream = client.audio.transcriptions.create(
        model="gpt-4o-transcribe", file=wav_file(), stream=True, include=["logprobs"]
    )
    *deltas, done = list(stream)
    assert {delta.type for delta in deltas} == {"transcript.text.delta"}
    assert "".join(delta.delta for delta in deltas) == done.text == "one two three"
    assert done.type == "transcript.text.done"
    assert done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens
    assert [entry.token for entry in done.logprobs] == [" one", " two", " three"]


def test_a_stream_for_asyncio(echo_server: Running) -> None:
    async def ask() -> list[Any]:
        async with openai.AsyncOpenAI(base_url=f"{echo_server.url}/v1", api_key="k") as client:
            stream = await client.audio.transcriptions.create(model="gpt-4o-transcribe", file=wav_file(), stream=True)
            return [event async for event in stream]

    assert asyncio.run(ask())[-1].text == "one two three"


def test_a_stream_that_breaks_raises(client: Any) -> None:
    stream = client.audio.transcriptions.create(
        model="whisper-1", file=wav_file(), stream=True, extra_body={"fail": "raise", "fail_at": 2}
    )
    with pytest.raises(openai.APIError, match="the engine failed"):
        list(stream)


def test_translations(client: Any) -> None:
    assert client.audio.translations.create(model="whisper-1", file=wav_file()).text == "one two three"
    full = client.audio.translations.create(model="whisper-1", file=wav_file(), response_format="verbose_json")
    assert (full.language, full.duration, len(full.segments)) == ("english", 3.0, 3)
    assert (
        client.audio.translations.create(model="whisper-1", file=wav_file(), response_format="text")
        == "one two three\n"
    )


@pytest.mark.parametrize("format", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_speech(client: Any, format: str) -> None:
    answer = client.audio.speech.create(
        model="gpt-4o-mini-tts", voice="coral", input="x" * 20, response_format=format, speed=2.0, instructions="calm"
    )
    assert answer.response.headers["x-ignored-fields"] == "instructions"
    if format == "pcm":
        assert len(answer.content) == 2 * round(24_000 * 0.6)
    else:
        samples, rate = decoded(answer.content)
        assert len(samples) / rate == pytest.approx(0.6, abs=0.15)


def test_speech_to_a_file_as_it_comes(client: Any, tmp_path: Path) -> None:
    since = time.monotonic()
    sizes = []
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice={"id": "square"}, input="x" * 50, response_format="wav", extra_body={"step_ms": 60}
    ) as answer:
        first_s = None
        with (tmp_path / "speech.wav").open("wb") as file:
            for chunk in answer.iter_bytes(1024):
                first_s = first_s or time.monotonic() - since
                sizes.append(file.write(chunk))
    assert first_s is not None
    assert first_s < (time.monotonic() - since) / 2
    samples, rate = decoded((tmp_path / "speech.wav").read_bytes())
    assert len(samples) / rate == pytest.approx(3.0, abs=0.01)


def test_speech_as_events(client: Any) -> None:
    import base64
    import json

    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="alloy", input="x" * 20, response_format="pcm", stream_format="sse"
    ) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
    *deltas, done, end = lines
    assert end == "[DONE]"
    assert json.loads(done)["type"] == "speech.audio.done"
    audio = b"".join(base64.b64decode(json.loads(delta)["audio"]) for delta in deltas)
    assert len(audio) == 2 * round(24_000 * 1.2)


def test_models(client: Any) -> None:
    assert [model.id for model in client.models.list()] == ["echo", "echo-slow", "echo-voice"]
    model = client.models.retrieve("whisper-1")
    assert (model.id, model.object, model.owned_by) == ("echo", "model", "open-speech/echo")


def test_a_model_is_deleted(start_server: StartServer) -> None:
    server = start_server((WEIGHTS, "open_speech_echo"), {"WEIGHTS_STEP_S": "0"})
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=0) as client:
        for id in ("slow", "org/slower", "a/b/slowest"):
            assert client.audio.transcriptions.create(model=id, file=wav_file()).text == "one two three"
            assert id in [model.id for model in client.models.list()]
            gone = client.models.delete(id)
            assert (gone.id, gone.deleted, gone.object) == (id, True, "model")
            assert id not in [model.id for model in client.models.list()]
            assert client.models.delete(id).deleted is False, "nothing of it was here"
        with pytest.raises(openai.NotFoundError):
            client.models.delete("none")
        with pytest.raises(openai.BadRequestError):
            client.models.delete("../slow")


@pytest.mark.parametrize(
    ("call", "error", "code", "param"),
    [
        (lambda c: c.models.retrieve("org/none"), "NotFoundError", "model_not_found", "model"),
        (
            lambda c: c.audio.transcriptions.create(model="none", file=wav_file()),
            "NotFoundError",
            "model_not_found",
            "model",
        ),
        (
            lambda c: c.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"nothing")),
            "BadRequestError",
            "invalid_audio",
            "file",
        ),
        (
            lambda c: c.audio.transcriptions.create(model="whisper-1", file=wav_file(), temperature=3),
            "BadRequestError",
            "invalid_request",
            "temperature",
        ),
        (
            lambda c: c.audio.translations.create(model="echo-slow", file=wav_file()),
            "BadRequestError",
            "feature_not_supported",
            "model",
        ),
        (
            lambda c: c.audio.speech.create(model="tts-1", voice="nobody", input="x"),
            "BadRequestError",
            "voice_not_found",
            "voice",
        ),
        (
            lambda c: c.audio.transcriptions.create(model="whisper-1", file=wav_file(), extra_body={"fail": "raise"}),
            "InternalServerError",
            "engine_error",
            None,
        ),
    ],
)
def test_errors_are_the_clients_own(client: Any, call: Call, error: str, code: str, param: str | None) -> None:
    with pytest.raises(getattr(openai, error)) as raised:
        call(client)
    assert (raised.value.code, raised.value.param) == (code, param)
    assert raised.value.body["message"] in raised.value.message
    assert raised.value.request_id.startswith("req_")


def test_a_wrong_key(start_server: StartServer) -> None:
    server = start_server(environ={"OS_API_KEY": "right"})
    for key, raises in (("wrong", True), ("right", False)):
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=2)
        for call in (
            lambda client: client.models.list(),
            lambda client: client.audio.transcriptions.create(model="whisper-1", file=("a.wav", tone(60.0))),
            lambda client: client.audio.speech.create(model="tts-1", voice="alloy", input="x"),
        ):
            if not raises:
                call(client)
                continue
            with pytest.raises(openai.AuthenticationError) as raised:
                call(client)
            assert raised.value.code == "invalid_api_key"
        client.close()


def requests(server: Running) -> int:
    """Count what the log says was asked; a line is written once its answer has left."""
    time.sleep(0.3)
    return server.log().count("POST /v1/audio/transcriptions")


def test_retries_heed_what_the_server_says(start_server: StartServer) -> None:
    server = start_server(environ={"OS_CORES": "1"})
    create = openai.OpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=2).audio.transcriptions.create
    with pytest.raises(openai.InternalServerError) as raised:
        create(model="whisper-1", file=wav_file(), extra_body={"fail": "exit"})
    assert raised.value.code == "worker_died"
    assert requests(server) == 3, "a worker's death may be chance: the client tries again"
    with pytest.raises(openai.InternalServerError) as raised:
        create(model="whisper-1", file=wav_file())
    assert raised.value.code == "model_failed"
    assert requests(server) == 4, "a model that rests will not be back in time"


def test_a_retry_after_a_death_succeeds(start_server: StartServer) -> None:
    import threading

    server = start_server(environ={"OS_CORES": "1"})
    server.client.post("/v1/audio/models/load", json={"model": "echo"})
    (worker,) = server.workers()
    killer = threading.Timer(1.0, worker.kill)
    killer.start()
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=2)
    answer = client.audio.transcriptions.create(model="whisper-1", file=wav_file(), extra_body={"step_ms": 500})
    assert answer.text == "one two three"
    assert requests(server) == 2


@pytest.mark.model
def test_real_speech_in_and_out(starter_server: Running, data: Path, tmp_path: Path) -> None:
    with openai.OpenAI(base_url=f"{starter_server.url}/v1", api_key="k") as client:
        with (data / "speech" / "jfk.flac").open("rb") as file:
            answer = client.audio.transcriptions.create(model="whisper-1", file=file)
        assert "ask not what your country can do for you" in answer.text
        words = client.audio.transcriptions.create(
            model="whisper-1",
            file=("jfk.flac", speech_file(data)),
            response_format="verbose_json",
            timestamp_granularities=["word"],
        ).words
        assert "country" in [word.word.strip(",.") for word in words]
        assert all(0 <= word.start <= word.end <= 11.1 for word in words)
        starts = [word.start for word in words]
        assert starts == sorted(starts)
        deltas = [
            event.delta
            for event in client.audio.transcriptions.create(
                model="whisper-1", file=("a", speech_file(data)), stream=True
            )
            if event.type == "transcript.text.delta"
        ]
        assert "".join(deltas) == answer.text
        target = tmp_path / "speech.mp3"
        with client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="nova", input="The weather is nice today."
        ) as spoken:
            spoken.stream_to_file(target)
        with target.open("rb") as file:
            assert (
                "weather is nice today" in client.audio.transcriptions.create(model="whisper-1", file=file).text.lower()
            )
        assert [model.id for model in client.models.list()]
        id = next(model.id for model in client.models.list() if "/" in model.id)
        assert client.models.retrieve(id).id == id
