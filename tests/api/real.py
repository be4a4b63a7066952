"""Real engines in workers: what they are asked, and how a test knows that one is in the middle of a step."""

from __future__ import annotations

import io
import time
import wave
from collections.abc import Callable
from typing import Any

import httpx
import psutil

from api.calling import speak, transcribe
from api.serving import Running

ONE = {"OS_CORES": "1", "PIPER_NOISE_SCALE": "0", "PIPER_NOISE_W_SCALE": "0"}
"""One replica a model, and the same sound for the same text."""
SHORT = "Hello there."
SENTENCE = "The quick brown fox jumps over the lazy dog. "
LONG = SENTENCE * 80
"""More than four minutes of speech; Piper takes ten seconds for it."""
TALK = (
    "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. "
    "It is easy to tell the depth of a well. These days a chicken leg is a rare dish. "
    "Rice is often served in round bowls. The juice of lemons makes fine punch. "
    "The box was thrown beside the parked truck. The hogs were fed chopped corn and garbage. "
    "Four hours of steady work faced us. A large size in stockings is hard to sell. "
    "The boy was there when the sun rose. A rod is used to catch pink salmon. "
    "The source of the huge river is the clear spring. Kick the ball straight and follow through. "
    "Help the woman get back to her feet. A pot of tea helps to pass the evening. "
    "Smoky fires lack flame and heat. The soft cushion broke the man's fall. "
    "The salt breeze came across from the sea. The girl at the booth sold fifty bonds."
)
"""Harvard sentences: a minute, and unlike the same sentence over and over, Whisper hears it at the first try."""
ENGINE_S = 5.0
"""Longest time until a left engine is free: Whisper promises two seconds, and a replica is killed past twice that."""


def heard(server: Running, file: bytes, model: str = "whisper-1", **fields: Any) -> httpx.Response:
    return transcribe(server, file, model=model, **fields)


def said(server: Running, text: str = SHORT, **fields: Any) -> httpx.Response:
    return speak(server, text, model="tts-1", voice="alloy", **fields)


def loaded_by(server: Running, work: Callable[[], httpx.Response], model: str) -> psutil.Process:
    """Do ``work`` once and give the worker that was loaded for ``model`` before it."""
    before = {worker.pid for worker in server.workers()}
    load = server.client.post("/v1/audio/models/load", json={"model": model})
    assert load.status_code == 200, load.text
    (engine,) = (worker for worker in server.workers() if worker.pid not in before)
    assert work().status_code == 200
    return engine


def computed_s(process: psutil.Process) -> float:
    """Give the seconds a process has computed, which do not depend on what else the machine does."""
    return sum(process.cpu_times()[:2])


def at_work(process: psutil.Process, seconds: float = 0.3, within_s: float = 20.0) -> None:
    """Wait until a process has computed for so long from now on: it is truly in the middle of a step."""
    since, deadline = computed_s(process), time.monotonic() + within_s
    while computed_s(process) - since < seconds:
        assert time.monotonic() < deadline, "it does no work"
        time.sleep(0.01)


def repeated(recording: bytes, times: int) -> bytes:
    """Repeat a recording's samples."""
    with wave.open(io.BytesIO(recording)) as reader:
        parameters, frames = reader.getparams(), reader.readframes(reader.getnframes())
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        # A streamed header gives no true length.
        writer.setparams(parameters._replace(nframes=0))
        writer.writeframes(frames * times)
    return file.getvalue()
