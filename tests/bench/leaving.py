"""How soon an engine is free when its client leaves."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator

from open_speech_core.types import CANCEL_S

from . import estimates
from .client import Client, Upload, form_headers, speech_body
from .clips import PARAGRAPH, SENTENCE
from .results import Result, judged
from .stage import Running, Stage

SEED = 7
EARLIEST_S, LATEST_S = 0.3, 2.5


def measure(stage: Stage) -> Iterator[Result]:
    """Leave at random moments; ask at once for something short, with one replica, and see how long that waits."""
    chance = random.Random(SEED)
    rounds = stage.rounds(20, 2)
    long_body = Upload.of(stage.clips.ten_minutes).body
    short = Upload.of(stage.clips.short)
    text = speech_body(" ".join([PARAGRAPH] * 12), "pcm")
    with stage.server(OS_CORES="1") as server:
        stage.warm(server)
        with stage.client(server) as client:
            heard = []
            spoken = []
            for _ in range(rounds):
                _leave(server, "/v1/audio/transcriptions", long_body, form_headers(len(long_body)), chance)
                heard.append(client.transcribe(short).overhead_ms / 1000)
                _leave(server, "/v1/audio/speech", text, {"content-length": str(len(text))}, chance)
                spoken.append(_first_wait_s(client))
        server.await_quiet()
    yield _judged("transcription", heard)
    yield _judged("speech", spoken)


def _leave(server: Running, path: str, body: bytes, headers: dict[str, str], chance: random.Random) -> None:
    """Send a whole request, wait a little, and close the connection."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode() + body)
        time.sleep(chance.uniform(EARLIEST_S, LATEST_S))


def _first_wait_s(client: Client) -> float:
    return client.speak(SENTENCE, "pcm").first_overhead_ms / 1000


def _judged(what: str, waits: list[float]) -> Result:
    return judged(
        f"leaving/{what}, until the engine is free",
        estimates.worst(waits),
        "s",
        at_most=CANCEL_S,
        notes=[
            f"the engine promises {CANCEL_S:g} s (cancel_s); median {estimates.median(waits).value:.2f} s. "
            "The next caller's time less its own engine steps, so its decoding is in it",
        ],
    )
