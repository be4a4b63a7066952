"""Use of every kind for a long while; fails when memory, descriptors, files or workers pile up."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from .client import Client, Upload, form_headers, speech_body
from .clips import PARAGRAPH, SENTENCE
from .crowd import closed_loop
from .growth import Look, judge
from .memory import MODELS
from .processes import descriptors, footprint
from .stage import Running, Stage

SEED = 3
CALLERS = 4
QUIET_S = 15.0
FORMATS = ("pcm", "mp3", "opus", "aac", "flac", "wav")


def soak(stage: Stage, seconds: float) -> list[str]:
    """Run rounds for so long; give what piled up, nothing if all is well."""
    rounds: list[Look] = []
    chance = random.Random(SEED)
    with stage.server(OS_MAX_UPLOAD_MB="50") as server:
        since = time.monotonic()
        while time.monotonic() - since < seconds:
            _round(stage, server, chance)
            rounds.append(_look(server, time.monotonic() - since))
            print(_line(rounds), flush=True)
    return judge(rounds)


def _round(stage: Stage, server: Running, chance: random.Random) -> None:
    """Ask rightly, wrongly and by several at once; leave early; unload."""
    short = Upload.of(stage.clips.short)
    client = Client(server.port)
    try:
        client.transcribe(short)
        client.transcribe(Upload.of(stage.clips.short, stream="true"))
        client.transcribe(Upload.of(stage.clips.short, response_format="verbose_json"))
        client.speak(SENTENCE, chance.choice(FORMATS))
        client.speak(SENTENCE, "mp3", stream_format="sse")
    finally:
        client.close()
    closed_loop(server.port, CALLERS, 1, lambda one: one.speak(PARAGRAPH, chance.choice(FORMATS)))
    for leave in _departures(stage, chance):
        leave(server)
    _mistakes(server)
    if chance.random() < 0.3:
        _unload(server, chance.choice(MODELS))


def _departures(stage: Stage, chance: random.Random) -> list[Callable[[Running], None]]:
    """Give ways to leave: mid-upload, mid-transcription, before the speech and in its middle."""
    upload = Upload.of(stage.clips.minute).body
    form = form_headers(len(upload))
    text = speech_body(" ".join([PARAGRAPH] * 6), "pcm")
    json = {"content-length": str(len(text)), "content-type": "application/json"}
    listen, speak = "/v1/audio/transcriptions", "/v1/audio/speech"
    wait_s = chance.uniform(0.05, 1.0)
    return [
        lambda server: depart(server, listen, form, upload[: len(upload) // 2], wait_s),
        lambda server: depart(server, listen, form, upload, wait_s),
        lambda server: depart(server, speak, json, text, 0.02),
        lambda server: depart(server, speak, json, text, 1 + wait_s, read=True),
    ]


def depart(
    server: Running, path: str, headers: dict[str, str], body: bytes, after_s: float, *, read: bool = False
) -> None:
    """Send a request or a part of it, perhaps read a little, and close the connection."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode() + body)
        if read:
            connection.recv(1024)
        time.sleep(after_s)


def _mistakes(server: Running) -> None:
    """Ask for what must be refused."""
    wrong = (
        Upload(body=b"no form at all"),
        Upload.of(Path(__file__)),
        Upload.of(Path(__file__), model="no-such-model"),
    )
    for upload in wrong:
        client = Client(server.port)
        try:
            client.transcribe(upload)
        except (RuntimeError, HTTPException):
            continue
        finally:
            client.close()
        raise RuntimeError("nonsense was transcribed")


def _unload(server: Running, model: str) -> None:
    client = Client(server.port)
    try:
        client.post("/v1/audio/models/load", {"model": model})
        client.post("/v1/audio/models/unload", {"model": model})
    finally:
        client.close()


def _look(server: Running, at_s: float) -> Look:
    """Wait for the files of those who left to go, then look."""
    deadline = time.monotonic() + QUIET_S
    while (left := server.leftovers()) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    return Look(
        at_s=at_s,
        own_mb=footprint(server).own,
        descriptors=descriptors(server),
        workers=len(server.workers()),
        leftovers=tuple(left),
    )


def _line(rounds: list[Look]) -> str:
    look = rounds[-1]
    return (
        f"round {len(rounds):4d}  {look.at_s:7.0f} s  {look.own_mb:6.1f} MB  "
        f"{look.descriptors:3d} descriptors  {look.workers} workers  {len(look.leftovers)} files left"
    )
