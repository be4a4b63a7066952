"""Languages: the codes that Whisper knows, their English names, and what clients write instead."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from open_speech_core.errors import InvalidRequest

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "af": "afrikaans", "am": "amharic", "ar": "arabic", "as": "assamese", "az": "azerbaijani",
        "ba": "bashkir", "be": "belarusian", "bg": "bulgarian", "bn": "bengali", "bo": "tibetan",
        "br": "breton", "bs": "bosnian", "ca": "catalan", "cs": "czech", "cy": "welsh",
        "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
        "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish", "fo": "faroese",
        "fr": "french", "gl": "galician", "gu": "gujarati", "ha": "hausa", "haw": "hawaiian",
        "he": "hebrew", "hi": "hindi", "hr": "croatian", "ht": "haitian creole", "hu": "hungarian",
        "hy": "armenian", "id": "indonesian", "is": "icelandic", "it": "italian", "ja": "japanese",
        "jw": "javanese", "ka": "georgian", "kk": "kazakh", "km": "khmer", "kn": "kannada",
        "ko": "korean", "la": "latin", "lb": "luxembourgish", "ln": "lingala", "lo": "lao",
        "lt": "lithuanian", "lv": "latvian", "mg": "malagasy", "mi": "maori", "mk": "macedonian",
        "ml": "malayalam", "mn": "mongolian", "mr": "marathi", "ms": "malay", "mt": "maltese",
        "my": "myanmar", "ne": "nepali", "nl": "dutch", "nn": "nynorsk", "no": "norwegian",
        "oc": "occitan", "pa": "punjabi", "pl": "polish", "ps": "pashto", "pt": "portuguese",
        "ro": "romanian", "ru": "russian", "sa": "sanskrit", "sd": "sindhi", "si": "sinhala",
        "sk": "slovak", "sl": "slovenian", "sn": "shona", "so": "somali", "sq": "albanian",
        "sr": "serbian", "su": "sundanese", "sv": "swedish", "sw": "swahili", "ta": "tamil",
        "te": "telugu", "tg": "tajik", "th": "thai", "tk": "turkmen", "tl": "tagalog",
        "tr": "turkish", "tt": "tatar", "uk": "ukrainian", "ur": "urdu", "uz": "uzbek",
        "vi": "vietnamese", "yi": "yiddish", "yo": "yoruba", "yue": "cantonese", "zh": "chinese",
    }
)  # fmt: skip
"""Code to English name in lower case, as OpenAI's ``verbose_json`` writes it."""

SYNONYMS: Mapping[str, str] = MappingProxyType(
    {
        "burmese": "my", "valencian": "ca", "flemish": "nl", "haitian": "ht", "letzeburgesch": "lb",
        "pushto": "ps", "panjabi": "pa", "moldavian": "ro", "moldovan": "ro", "sinhalese": "si",
        "castilian": "es", "mandarin": "zh", "bokmål": "no", "farsi": "fa", "filipino": "tl",
        "cmn": "zh", "fil": "tl", "in": "id", "iw": "he", "ji": "yi", "jv": "jw", "mo": "ro", "nb": "no",
    }
)  # fmt: skip
"""Further names, and codes that are newer or older than Whisper's, to its codes."""


def code_of(language: str, *, param: str = "language") -> str:
    """Give the code for a code, a BCP 47 tag (``en-US``, ``zh_Hant``) or an English name.

    Raises:
        InvalidRequest: no such language is known.
    """
    written = language.strip().lower()
    for candidate in (written, written.replace("_", "-").partition("-")[0]):
        if candidate in NAMES:
            return candidate
        if candidate in SYNONYMS:
            return SYNONYMS[candidate]
        for code, name in NAMES.items():
            if name == candidate:
                return code
    raise InvalidRequest(
        f"{param}: {language[:40]!r} is not a known language; send an ISO 639-1 code such as 'en'",
        param=param,
    )


def name_of(code: str | None) -> str:
    """Give the English name in lower case; an unlisted code is given as it is, None as ``unknown``."""
    return "unknown" if code is None else NAMES.get(code, code)
