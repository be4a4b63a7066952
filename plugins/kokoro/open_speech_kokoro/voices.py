"""The voices of Kokoro-82M 1.0 and the languages they speak, as their names say."""

from __future__ import annotations

from msgspec import Struct

from open_speech_core.types import Voice


class Language(Struct, frozen=True, kw_only=True):
    """One language of the model."""

    letter: str
    """First letter of its voices' names, and upstream's code."""
    tag: str
    """BCP 47, in lower case."""
    espeak: str
    """What espeak-ng calls it."""
    title: str


LANGUAGES = {
    language.letter: language
    for language in (
        Language(letter="a", tag="en-us", espeak="en-us", title="American English"),
        Language(letter="b", tag="en-gb", espeak="en-gb", title="British English"),
        Language(letter="e", tag="es", espeak="es", title="Spanish"),
        Language(letter="f", tag="fr-fr", espeak="fr-fr", title="French"),
        Language(letter="h", tag="hi", espeak="hi", title="Hindi"),
        Language(letter="i", tag="it", espeak="it", title="Italian"),
        Language(letter="j", tag="ja", espeak="ja", title="Japanese"),
        Language(letter="p", tag="pt-br", espeak="pt-br", title="Brazilian Portuguese"),
        Language(letter="z", tag="zh", espeak="cmn", title="Mandarin Chinese"),
    )
}
GENDERS = {"f": "female", "m": "male"}
BRITISH = frozenset({"gb", "uk", "ie", "au", "nz", "za", "in"})
"""Regions whose English is nearer to British than to American."""

NAMES = (
    "af_heart", "af_bella", "af_nicole", "af_aoede", "af_kore", "af_sarah", "af_nova", "af_sky", "af_alloy",
    "af_jessica", "af_river",
    "am_michael", "am_fenrir", "am_puck", "am_echo", "am_eric", "am_liam", "am_onyx", "am_santa", "am_adam",
    "bf_emma", "bf_isabella", "bf_alice", "bf_lily",
    "bm_george", "bm_fable", "bm_lewis", "bm_daniel",
    "ef_dora", "em_alex", "em_santa",
    "ff_siwis",
    "hf_alpha", "hf_beta", "hm_omega", "hm_psi",
    "if_sara", "im_nicola",
    "jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo",
    "pf_dora", "pm_alex", "pm_santa",
    "zf_xiaobei", "zf_xiaoni", "zf_xiaoxiao", "zf_xiaoyi", "zm_yunjian", "zm_yunxi", "zm_yunxia", "zm_yunyang",
)  # fmt: skip
"""All voices of the release, the default first, the better trained of each language before the others."""

OPENAI = {
    "alloy": "af_heart",
    "ash": "am_puck",
    "ballad": "bm_lewis",
    "cedar": "am_fenrir",
    "coral": "af_kore",
    "echo": "am_adam",
    "fable": "bf_emma",
    "marin": "af_aoede",
    "nova": "af_nova",
    "onyx": "am_michael",
    "sage": "af_sarah",
    "shimmer": "af_bella",
    "verse": "bm_george",
}
"""OpenAI's voices to ours."""


def language_of(voice: str) -> Language:
    """Give the language a voice's name speaks of; American English for a name of another form."""
    known = len(voice) > 3 and voice[1] in GENDERS and voice[2] == "_"
    return LANGUAGES.get(voice[0], LANGUAGES["a"]) if known else LANGUAGES["a"]


def find_language(tag: str, voice: str) -> Language | None:
    """Give the language of a BCP 47 tag, the voice's own of it where the tag has no region; None is unknown."""
    language, _, region = tag.lower().replace("_", "-").partition("-")
    own = language_of(voice)
    if own.tag.partition("-")[0] == language and not region:
        return own
    if language == "en":
        return LANGUAGES["b" if region in BRITISH else "a"]
    return next((each for each in LANGUAGES.values() if each.tag.partition("-")[0] == language), None)


def describe(name: str) -> Voice:
    """Say who a voice is, as far as its name tells."""
    language = language_of(name)
    gendered = name[1:2] in GENDERS and name[2:3] == "_"
    return Voice(
        id=name,
        name=(name[3:] if gendered else name).replace("_", " ").title(),
        language=language.tag,
        gender=GENDERS[name[1]] if gendered else "unknown",
        description=language.title,
    )
