"""The media engine through the runner, as in a media worker."""

from __future__ import annotations

import io
import queue
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech_api.media.encode import wav_header
from open_speech_core.types import (
    Chunk,
    Decoded,
    DecodeRequest,
    EncodeConfig,
    EngineSpec,
    LoadSpec,
    Model,
    Span,
)
from open_speech_core.worker import protocol as p
from open_speech_core.worker.runner import Runner


class Worker:
    def __init__(self, model: str) -> None:
        self._sent: queue.Queue[Any] = queue.Queue()
        # Through the wire's form and back, as between processes.
        self._runner = Runner(lambda frame: self._sent.put(p.decode_from_worker(p.encode(frame)[4:])))
        load = LoadSpec(model=Model(id=model, kind="detector", rate=16_000))
        spec = EngineSpec(plugin="open_speech_api.media.engine", kind="media", provider="media", load=load)
        self.send(p.Load(call=0, engine=spec))
        self.ready = self.until(p.Ready)[-1].loaded

    def send(self, frame: p.ToWorker) -> None:
        self._runner.take(p.decode_to_worker(p.encode(frame)[4:]))

    def until(self, *kinds: type) -> list[Any]:
        frames: list[Any] = []
        while not frames or not isinstance(frames[-1], kinds):
            frames.append(self._sent.get(timeout=30))
            assert p.Failed in kinds or not isinstance(frames[-1], p.Failed), frames[-1]
        return frames

    def items(self, *kinds: type) -> list[Any]:
        return [frame.item for frame in self.until(*kinds) if isinstance(frame, p.ItemFrame)]

    def close(self) -> None:
        self._runner.close()


@pytest.fixture
def decoder() -> Iterator[Worker]:
    worker = Worker("media/decode")
    yield worker
    worker.close()


@pytest.fixture
def encoder() -> Iterator[Worker]:
    worker = Worker("media/encode")
    yield worker
    worker.close()


def tone(frames: int) -> np.ndarray:
    return (0.5 * np.sin(np.arange(frames) * 0.1)).astype("<f4")


def upload(folder: Path, seconds: int) -> DecodeRequest:
    source = folder / "upload"
    pcm = np.tile((tone(16_000) * 32767).astype("<i2"), seconds).tobytes()
    source.write_bytes(wav_header(16_000, len(pcm)) + pcm)
    return DecodeRequest(path=str(source), target=str(folder / "samples"), rate=16_000)


def test_a_decode_gives_spans_progress_and_the_end(decoder: Worker, tmp_path: Path) -> None:
    assert decoder.ready.max_concurrency == 8
    decoder.send(p.Call(call=1, request=upload(tmp_path, 70), credit=100))
    frames = decoder.until(p.Done)
    items = [frame.item for frame in frames if isinstance(frame, p.ItemFrame)]
    assert [type(item) for item in items] == [Span, Span, Span, Decoded]
    assert any(isinstance(frame, p.Progress) for frame in frames)


def test_a_refusal_reaches_the_server_as_its_own_code(decoder: Worker, tmp_path: Path) -> None:
    request = upload(tmp_path, 1)
    (tmp_path / "upload").write_text("no audio")
    decoder.send(p.Call(call=1, request=request))
    failed = decoder.until(p.Failed)[-1]
    assert failed.error.code == "invalid_audio"
    assert str(tmp_path) not in failed.error.message


def test_a_cancelled_decode_frees_its_thread(decoder: Worker, tmp_path: Path) -> None:
    request = upload(tmp_path, 300)
    for call in range(1, 13):
        decoder.send(p.Call(call=call, request=request, credit=0))
    for call in range(1, 13):
        decoder.send(p.Cancel(call=call))
    codes = [decoder.until(p.Failed)[-1].error.code for _ in range(12)]
    assert codes == ["cancelled"] * 12


def test_encoders_run_side_by_side(encoder: Worker) -> None:
    for call in (1, 2):
        encoder.send(p.Open(call=call, config=EncodeConfig(format="wav", rate=24_000, streamed=False)))
        encoder.until(p.Done)
    for call in (1, 2):
        encoder.send(p.Feed(call=call, data=tone(16_000 * call).tobytes(), rate=16_000))
        assert encoder.items(p.Done) == []
    for call in (2, 1):
        encoder.send(p.Flush(call=call))
        items = encoder.items(p.Done)
        assert all(isinstance(item, Chunk) for item in items)
        with wave.open(io.BytesIO(b"".join(item.data for item in items))) as file:
            assert abs(file.getnframes() - 24_000 * call) <= 1
        encoder.send(p.Close(call=call))
