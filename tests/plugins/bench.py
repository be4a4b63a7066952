"""An engine behind a runner, as a worker has it, and samples in their forms."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech_core.audio import view
from open_speech_core.errors import Cancelled, from_info
from open_speech_core.providers import Context, SynthesizerEngine
from open_speech_core.testing import cases
from open_speech_core.types import (
    Config,
    EngineSpec,
    Float32,
    Item,
    Kind,
    Loaded,
    LoadSpec,
    Request,
    Samples,
    SynthesizeRequest,
)
from open_speech_core.worker import protocol as p
from open_speech_core.worker.runner import Runner

CALL = 7


class Bench:
    """A runner whose frames are waited for; ``Failed`` is raised as the error it carries."""

    def __init__(self) -> None:
        self._frames: queue.Queue[p.FromWorker] = queue.Queue()
        self._runner = Runner(self._frames.put)
        self.done: p.Done | None = None

    def load(self, plugin: str, kind: Kind, provider: str, spec: LoadSpec) -> Loaded:
        engine = EngineSpec(plugin=plugin, kind=kind, provider=provider, load=spec)
        self._take(p.Load(call=CALL, engine=engine))
        for frame in self._until_end():
            if isinstance(frame, p.Ready):
                return frame.loaded
        raise AssertionError("no Ready came")

    def call(self, request: Request) -> list[Item]:
        self._take(p.Call(call=CALL, request=request, credit=100_000))
        return self._items()

    def open(self, config: Config) -> None:
        self._take(p.Open(call=CALL, config=config))
        self._items()

    def feed(self, samples: Float32, rate: int) -> list[Item]:
        self._take(p.Feed(call=CALL, data=samples.tobytes(), rate=rate))
        return self._items()

    def flush(self) -> list[Item]:
        self._take(p.Flush(call=CALL))
        return self._items()

    def close(self) -> None:
        self._runner.close()

    def _take(self, frame: p.ToWorker) -> None:
        """Hand a frame over as it arrives in a worker: decoded from its bytes."""
        self._runner.take(p.decode_to_worker(p.encode(frame)[p.PREFIX.size :]))

    def _items(self) -> list[Item]:
        return [frame.item for frame in self._until_end() if isinstance(frame, p.ItemFrame)]

    def _until_end(self) -> Iterator[p.FromWorker]:
        while True:
            frame = p.decode_from_worker(p.encode(self._frames.get(timeout=60))[p.PREFIX.size :])
            if isinstance(frame, p.Failed):
                raise from_info(frame.error)
            yield frame
            if isinstance(frame, p.Done | p.Ready):
                return


def decode(path: Path, rate: int = 16_000) -> Float32:
    """Decode a file to mono samples."""
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    with av.open(str(path)) as container:
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32)


def wire(samples: Float32, rate: int = 16_000) -> Samples:
    return Samples(data=samples.astype("<f4").tobytes(), rate=rate)


def joined(items: list[Any]) -> Float32:
    """Join the audio of a call's items."""
    parts = [view(item.data) for item in items if isinstance(item, Samples)]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def starter_cases(plugin: str) -> list[Any]:
    """Give the conformance cases of a plugin whose weights the starter ships; none without it."""
    try:
        import open_speech_starter
    except ImportError:
        return []
    found = cases(plugin, sources=open_speech_starter.open_speech_model_sources())
    return [case for case in found if not case.marks]


def left_within(engine: SynthesizerEngine, request: SynthesizeRequest) -> tuple[float, float]:
    """Leave at a third of the first piece: the seconds a piece takes, and those until the engine was free."""
    since = time.monotonic()
    next(iter(engine.synthesize(request, Context())))
    piece_s = time.monotonic() - since
    context = Context()
    left: list[float] = []

    def leave() -> None:
        left.append(time.monotonic())
        context.cancel()

    timer = threading.Timer(piece_s / 3, leave)
    timer.start()
    with pytest.raises(Cancelled):
        next(iter(engine.synthesize(request, context)))
    timer.join()
    return piece_s, time.monotonic() - left[0]
