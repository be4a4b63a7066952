"""What the server adds to one request: the client's time less the engine's own steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from . import estimates
from .client import Answer, Client, Upload
from .clips import SENTENCE
from .results import Result, judged
from .stage import Stage

FIRST_BYTE_MS = {"pcm": 25.0, "mp3": 40.0, "opus": 40.0}


def measure(stage: Stage) -> Iterator[Result]:
    """Ask one at a time, everything loaded, on a kept connection.

    With one replica: where several work side by side the engine's steps add up to more than the time that passed.
    """
    with stage.server(OS_CORES="1") as server, stage.client(server) as client:
        stage.warm(server)
        yield _transcription(client, stage.clips.short, "11 s", stage.rounds(40, 5), 45)
        yield _transcription(client, stage.clips.minute, "60 s", stage.rounds(15, 3), 90)
        for format, bound_ms in FIRST_BYTE_MS.items():
            answers = [client.speak(SENTENCE, format) for _ in range(stage.rounds(40, 5))]
            yield judged(
                f"overhead/speech {format}, first byte",
                estimates.median([answer.first_overhead_ms for answer in answers]),
                "ms",
                at_most=bound_ms,
                notes=[f"engine's first item {_median(a.timing.engine for a in answers):.0f} ms"],
            )


def _transcription(client: Client, clip: Path, length: str, rounds: int, bound_ms: float) -> Result:
    upload = Upload.of(clip)
    answers = [client.transcribe(upload) for _ in range(rounds)]
    return judged(
        f"overhead/transcription {length}",
        estimates.median([answer.overhead_ms for answer in answers]),
        "ms",
        at_most=bound_ms,
        notes=[_spent(answers)],
    )


def _spent(answers: list[Answer]) -> str:
    decode = _median(answer.timing.decode for answer in answers)
    engine = _median(answer.timing.engine for answer in answers)
    total = _median(answer.total_s * 1000 for answer in answers)
    return (
        f"of {total:.0f} ms the engine had {engine:.0f}; decoding and finding speech took {decode:.0f}, "
        "for long files beside the engine"
    )


def _median(values: Iterator[float]) -> float:
    return estimates.median(list(values)).value
