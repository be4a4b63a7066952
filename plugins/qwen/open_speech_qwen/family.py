"""The family: sizes, variants, speakers, languages, and what each request needs of them."""

from __future__ import annotations

from typing import Literal

from open_speech_core.types import Model, Siblings, Voice

Variant = Literal["CustomVoice", "VoiceDesign", "Base"]
Size = Literal["1.7B", "0.6B"]

PREFIX = "qwen3-tts/"
REPO_PREFIX = "Qwen/Qwen3-TTS-12Hz-"
TOKENIZER = f"{PREFIX}Tokenizer-12Hz"
TOKENIZER_REPO = "Qwen/Qwen3-TTS-Tokenizer-12Hz"
RATE = 24_000
LICENCE = "Apache-2.0"

SIZES: tuple[Size, ...] = ("1.7B", "0.6B")
VARIANTS: dict[Size, tuple[Variant, ...]] = {
    "1.7B": ("CustomVoice", "VoiceDesign", "Base"),
    "0.6B": ("CustomVoice", "Base"),
}
"""What is published; only the large one designs voices."""

LANGUAGES = {
    "zh": "Chinese",
    "en": "English",
    "ja": "Japanese",
    "ko": "Korean",
    "de": "German",
    "fr": "French",
    "ru": "Russian",
    "pt": "Portuguese",
    "es": "Spanish",
    "it": "Italian",
}
"""ISO 639-1 to the library's names."""

SPEAKERS = (
    Voice(id="Vivian", name="Vivian", language="zh", gender="female", description="bright, slightly edgy, young"),
    Voice(id="Serena", name="Serena", language="zh", gender="female", description="warm, gentle, young"),
    Voice(id="Uncle_Fu", name="Uncle Fu", language="zh", gender="male", description="seasoned, low and mellow"),
    Voice(id="Dylan", name="Dylan", language="zh", gender="male", description="youthful, of Beijing, clear"),
    Voice(id="Eric", name="Eric", language="zh", gender="male", description="lively, of Chengdu, a little husky"),
    Voice(id="Ryan", name="Ryan", language="en", gender="male", description="dynamic, with a strong rhythm"),
    Voice(id="Aiden", name="Aiden", language="en", gender="male", description="sunny, American, clear midrange"),
    Voice(id="Ono_Anna", name="Ono Anna", language="ja", gender="female", description="playful, light and nimble"),
    Voice(id="Sohee", name="Sohee", language="ko", gender="female", description="warm, rich in emotion"),
)
"""The named speakers; each speaks every language, its own best."""

DEFAULT_SPEAKER = "Ryan"
OPENAI_VOICES = {
    "alloy": "Ryan",
    "echo": "Aiden",
    "fable": "Ryan",
    "onyx": "Ryan",
    "nova": "Vivian",
    "shimmer": "Serena",
}

ALIASES = {
    "qwen3": f"{PREFIX}{{size}}-CustomVoice",
    "qwen3-tts": f"{PREFIX}{{size}}-CustomVoice",
    "qwen3-tts-0.6b": f"{PREFIX}0.6B-CustomVoice",
    "qwen3-tts-1.7b": f"{PREFIX}1.7B-CustomVoice",
}

_REVISIONS = {
    f"{PREFIX}1.7B-CustomVoice": "0c0e3051f131929182e2c023b9537f8b1c68adfe",
    f"{PREFIX}1.7B-VoiceDesign": "5ecdb67327fd37bb2e042aab12ff7391903235d3",
    f"{PREFIX}1.7B-Base": "fd4b254389122332181a7c3db7f27e918eec64e3",
    f"{PREFIX}0.6B-CustomVoice": "85e237c12c027371202489a0ec509ded67b5e4b5",
    f"{PREFIX}0.6B-Base": "5d83992436eae1d760afd27aff78a71d676296fc",
    TOKENIZER: "7dd38ad4e9bad454aae9cd937d0cd577604fe229",
}
"""The commits that are fetched."""

_BYTES: dict[Size, int] = {"1.7B": 4_100_000_000, "0.6B": 1_900_000_000}
"""Two bytes a parameter, and the tokenizer."""
_TOKENIZER_BYTES = 680_000_000
_MEMORY_MB: dict[Size, int] = {"1.7B": 8000, "0.6B": 4000}
"""In float32, on a CPU; about the half on a GPU."""


def model_id(size: Size, variant: Variant) -> str:
    return f"{PREFIX}{size}-{variant}"


def siblings(size: Size) -> Siblings:
    """Say who serves what is asked of a model of this size; voices are designed by the large one alone."""
    return Siblings(
        named=model_id(size, "CustomVoice"),
        designed=model_id("1.7B", "VoiceDesign"),
        cloned=model_id(size, "Base"),
    )


def _model(size: Size, variant: Variant) -> Model:
    # The small one takes no instructions, and Base takes none of either size.
    return Model(
        id=model_id(size, variant),
        kind="synthesizer",
        rate=RATE,
        title=f"Qwen3-TTS {size} {variant}",
        languages=tuple(LANGUAGES),
        bytes=_BYTES[size],
        licence=LICENCE,
        revision=_REVISIONS[model_id(size, variant)],
        memory_mb=_MEMORY_MB[size],
        span_s=None,
        instructions=size == "1.7B" and variant != "Base",
        siblings=siblings(size),
    )


MODELS: tuple[Model, ...] = (
    *(_model(size, variant) for size in SIZES for variant in VARIANTS[size]),
    Model(
        id=TOKENIZER,
        kind="synthesizer",
        rate=RATE,
        title="Qwen3-TTS tokenizer",
        bytes=_TOKENIZER_BYTES,
        licence=LICENCE,
        revision=_REVISIONS[TOKENIZER],
        span_s=None,
        helper=True,
        description="A part of the other models; nothing speaks with it alone.",
    ),
)


def find(id: str) -> Model | None:
    """Find a model by its id or its repository's."""
    if id == TOKENIZER_REPO:
        id = TOKENIZER
    elif id.startswith(REPO_PREFIX):
        id = PREFIX + id.removeprefix(REPO_PREFIX)
    return next((model for model in MODELS if model.id == id), None)


def repository(id: str) -> str:
    """Give the repository of a model of the family."""
    return TOKENIZER_REPO if id == TOKENIZER else REPO_PREFIX + id.removeprefix(PREFIX)


def variant_of(id: str) -> Variant:
    """Give the variant of a model of the family that speaks."""
    return next(variant for size in SIZES for variant in VARIANTS[size] if id == model_id(size, variant))
