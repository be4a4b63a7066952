"""Kokoro over HTTP beside the raw library: when it is heard first, and the whole of two sentences."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from . import estimates
from .client import Answer
from .clips import SENTENCE
from .ratio import take_turns
from .raw import raw
from .results import Result, judged
from .stage import Stage

VOICE = "af_heart"
TEXT = f"{SENTENCE} It is easy to tell the depth of a well."
ALONE = {"OS_CORES": "1", "KOKORO_RUNTIME": "onnx", "KOKORO_G2P": "espeak"}
"""One replica of one thread, and the pronunciation that the library has."""


def own_voices(stage: Stage) -> dict[str, str]:
    """Give the settings by which a server finds the voices among the data; the weights come as packages."""
    folder = stage.folder / "kokoro"
    folder.mkdir(exist_ok=True)
    if not (voices := folder / "voices").exists():
        voices.symlink_to(stage.speech.parent / "kokoro", target_is_directory=True)
    return {"KOKORO_MODEL_DIR": str(folder)}


def measure(stage: Stage) -> Iterator[Result]:
    """Measure with one thread each; the first audio beside ``create()`` of the first sentence alone."""
    if find_spec("kokoro_onnx") is None or find_spec("open_speech_kokoro") is None:
        return
    plugins = ("open_speech_kokoro", "open_speech_silero")
    answers: list[Answer] = []
    with (
        stage.server(*plugins, **ALONE, **own_voices(stage)) as server,
        stage.client(server) as client,
        raw("kokoro", 1, str(stage.speech.parent / "kokoro" / f"{VOICE}.bin")) as library,
    ):

        def ask() -> float:
            answers.append(client.speak(TEXT, "pcm", model="kokoro", voice=VOICE))
            return answers[-1].total_s

        taken = take_turns(
            {"raw": lambda: library.call(TEXT), "raw, first": lambda: library.call(SENTENCE), "ours": ask},
            stage.rounds(20, 2),
        )
    firsts = [answer.first_s for answer in answers[-len(taken["ours"]) :]]
    medians = ", ".join(
        f"{name} {estimates.median(seconds).value:.3f} s" for name, seconds in {**taken, "ours, first": firsts}.items()
    )
    notes = ["int8 on ONNX Runtime, one thread each, one replica; raw is kokoro-onnx's create()", f"medians: {medians}"]
    first = estimates.ratio(firsts, taken["raw, first"])
    whole = estimates.ratio(taken["ours"], taken["raw"])
    yield judged("kokoro/first audio, to create() of the first sentence", first, "x", at_most=1.10, notes=notes)
    yield judged("kokoro/two sentences as pcm, to create() of both", whole, "x", at_most=1.03, notes=notes)
