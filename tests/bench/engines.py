"""Each engine that has real weights here: how fast it is, how soon it is heard, and what it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec

from msgspec import Struct

from . import estimates
from .client import Answer, Client, Upload
from .clips import PARAGRAPH, SENTENCE
from .kokoro import own_voices
from .processes import pss_mb, role
from .results import Result, judged
from .stage import STARTER, Running, Stage

PCM_RATE = 24_000
PCM_BYTES = 2
MINUTE_S = 60.0
SETTLE_S = 0.5
ALONE = {"OS_CORES": "1"}
"""One replica of one thread."""


class Candidate(Struct, frozen=True, kw_only=True):
    """An engine and its model."""

    name: str
    plugins: tuple[str, ...]
    model: str
    voice: str = ""
    """Empty: it transcribes."""


CANDIDATES = (
    Candidate(name="Whisper tiny.en, int8", plugins=STARTER, model="whisper-1"),
    Candidate(name="Piper en_US-joe-medium", plugins=STARTER, model="piper/en_US-joe-medium", voice="en_US-joe-medium"),
    Candidate(
        name="Kokoro, int8 on ONNX Runtime",
        plugins=("open_speech_kokoro", "open_speech_silero"),
        model="kokoro",
        voice="af_heart",
    ),
)


def measure(stage: Stage) -> Iterator[Result]:
    """Measure every engine that is installed, each on a server of its own, with one thread."""
    for candidate in CANDIDATES:
        if all(find_spec(plugin) for plugin in candidate.plugins):
            with (
                stage.server(*candidate.plugins, **ALONE, **own_voices(stage)) as server,
                stage.client(server) as client,
            ):
                yield from _one(stage, candidate, server, client)


def _one(stage: Stage, candidate: Candidate, server: Running, client: Client) -> Iterator[Result]:
    use = _listening(stage, client) if not candidate.voice else _speaking(candidate, client)
    loads: list[float] = []
    factors: list[float] = []
    loaded: list[float] = []
    after: list[float] = []
    for _ in range(stage.rounds(6, 1)):
        since = time.monotonic()
        client.post("/v1/audio/models/load", {"model": candidate.model})
        loads.append(time.monotonic() - since)
        factors += [use() for _ in range(stage.rounds(4, 1))]
        loaded.append(_engines_mb(server))
        client.post("/v1/audio/models/unload", {"model": candidate.model})
        time.sleep(SETTLE_S)
        after.append(_engines_mb(server))

    def row(what: str, values: list[float], unit: str, *notes: str) -> Result:
        return judged(f"engines/{candidate.name}: {what}", estimates.median(values), unit, notes=notes)

    yield row("load", loads, "s", "a worker is started and warmed up; the weights are in the file cache")
    said = "a minute of talk" if not candidate.voice else "a paragraph of four sentences"
    yield row("compute time to audio time (RTF)", factors, "x", f"{said}, whole requests, one thread")
    if candidate.voice:
        firsts = [_speak(client, candidate, SENTENCE).first_s for _ in range(stage.rounds(20, 2))][1:]
        yield row("first audio", firsts, "s", "of a sentence of 4 s, as pcm")
    yield row("memory, loaded and used", loaded, "MB", "PSS of the engine's worker")
    yield row("memory after unload", after, "MB", "the worker has ended")


def _listening(stage: Stage, client: Client) -> Callable[[], float]:
    upload = Upload.of(stage.clips.minute)
    return lambda: client.transcribe(upload).total_s / MINUTE_S


def _speaking(candidate: Candidate, client: Client) -> Callable[[], float]:
    def use() -> float:
        answer = _speak(client, candidate, PARAGRAPH)
        return answer.total_s / (len(answer.body) / PCM_BYTES / PCM_RATE)

    return use


def _speak(client: Client, candidate: Candidate, text: str) -> Answer:
    return client.speak(text, "pcm", model=candidate.model, voice=candidate.voice)


def _engines_mb(server: Running) -> float:
    return sum(pss_mb(worker) for worker in server.workers() if role(worker) != "media")
