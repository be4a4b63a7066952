"""The engine: a text's phonemes, piece by piece, through a runtime."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from kokoro_onnx.trim import trim

from open_speech_core.errors import InvalidRequest
from open_speech_core.providers import Context, SynthesizerEngine
from open_speech_core.types import Audio, Float32, SynthesizeRequest, Timing

from .blend import Blend, parse_blend
from .packs import Packs
from .phonemes import FrontEnds
from .pieces import pause_after, split_phonemes
from .runtime import Runtime
from .voices import LANGUAGES, NAMES, Language, find_language, language_of
from .words import WordTimes

RATE = 24_000


class KokoroEngine(SynthesizerEngine):
    """One model with all its voices; espeak-ng keeps one state a process, so one call at a time."""

    def __init__(self, runtime: Runtime, packs: Packs, front_ends: FrontEnds) -> None:
        self._runtime = runtime
        self._packs = packs
        self._front_ends = front_ends
        self.device = runtime.device
        self.compute_type = runtime.compute_type

    def synthesize(self, request: SynthesizeRequest, context: Context) -> Iterator[Audio | Timing]:
        blend = parse_blend(request.voice)
        pack = self._packs.mix(blend)
        language = choose_language(request.language, blend)
        known = self._phonemes(request.text, language)
        words: WordTimes | None = None
        since = 0
        for start, end in split_phonemes(known):
            context.check()
            piece = known[start:end]
            if not any(map(str.isalpha, piece)):
                continue
            tokens = [self._runtime.vocab[phoneme] for phoneme in piece]
            rendered = self._runtime.render(tokens, pack, request.speed, context, seed=request.seed)
            heard, head = trimmed(rendered.samples)
            samples = followed(heard, pause_after(piece) / request.speed)
            yield Audio(samples=samples, rate=RATE)
            if rendered.durations is not None:
                # After the first audio, which should not wait for it.
                words = words or self._words(request.text, language, known)
                whole, kept = len(rendered.samples), len(heard)
                yield from words.of(
                    start, end, rendered.durations, samples=whole, head=head, kept=kept, since=since, rate=RATE
                )
            since += len(samples)

    def warm_up(self) -> None:
        """Speak a little with any voice that is here."""
        voice = next((name for name in NAMES if name in self._packs.names), min(self._packs.names))
        self._front_ends.phonemize("a.", LANGUAGES["a"])
        tokens = [self._runtime.vocab[phoneme] for phoneme in "ɐ."]
        self._runtime.render(tokens, self._packs.mix(((voice, 1.0),)), 1.0, Context())

    def _words(self, text: str, language: Language, known: str) -> WordTimes:
        return WordTimes([(word, self._phonemes(word, language)) for word in text.split()], known)

    def _phonemes(self, text: str, language: Language) -> str:
        said = self._front_ends.phonemize(text, language)
        return "".join(phoneme for phoneme in said if phoneme in self._runtime.vocab)


def choose_language(asked: str | None, blend: Blend) -> Language:
    """Give the language to speak: the one asked for, else that of the first voice. Raises ``InvalidRequest``."""
    voice = blend[0][0]
    if not asked:
        return language_of(voice)
    found = find_language(asked, voice)
    if found is None:
        tags = ", ".join(language.tag for language in LANGUAGES.values())
        raise InvalidRequest(f"Kokoro does not speak {asked[:40]!r}; it speaks {tags}", param="language")
    return found


def trimmed(samples: Float32) -> tuple[Float32, int]:
    """Cut the silence off both ends; give the samples and how many were cut off the front."""
    if not len(samples):
        return samples, 0
    heard, (head, _) = trim(samples)
    return np.clip(heard, -1.0, 1.0), int(head)


def followed(samples: Float32, pause_s: float) -> Float32:
    """Put a silence behind the samples."""
    joined: Float32 = np.concatenate([samples, np.zeros(round(pause_s * RATE), np.float32)])
    return joined
