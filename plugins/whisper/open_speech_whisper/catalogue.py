"""The models worth listing, their short names, and what an unlisted id tells about its model."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from msgspec.structs import replace

from open_speech_core.types import Model

RATE = 16_000
SPAN_S = 30.0
"""Whisper's window."""
MB = 1_000_000

_CODES = """
af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy
id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa
sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo zh
"""
LANGUAGES = tuple(_CODES.split())
"""What multilingual Whisper knows; large-v3 and its children know Cantonese (yue) as well."""


def make_model(id: str, *, mb: int = 0, memory_mb: int = 0, licence: str = "", description: str = "") -> Model:
    """Describe a model. What it can do is told by its name, by the custom of all Whisper models.

    ``memory_mb`` is for int8 on a CPU.
    """
    name = id.rpartition("/")[2].lower()
    english = name.endswith(".en") or ".en-" in name
    distilled = "distil" in name
    cantonese = "large-v3" in name and not distilled
    return Model(
        id=id,
        kind="transcriber",
        rate=RATE,
        title=id.rpartition("/")[2],
        languages=("en",) if english or distilled else (*LANGUAGES, "yue") if cantonese else LANGUAGES,
        translates=not (english or distilled or "turbo" in name),
        bytes=mb * MB,
        licence=licence,
        memory_mb=memory_mb,
        span_s=SPAN_S,
        description=description,
    )


REVISIONS: Mapping[str, str] = MappingProxyType(
    {
        "deepdml/faster-whisper-large-v3-turbo-ct2": "4df90f75321148c3a29a9e2351b7ddf8f5b115a8",
        "Systran/faster-whisper-tiny": "d90ca5fe260221311c53c58e660288d3deb8d356",
        "Systran/faster-whisper-tiny.en": "0d3d19a32d3338f10357c0889762bd8d64bbdeba",
        "Systran/faster-whisper-base": "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
        "Systran/faster-whisper-base.en": "3d3d5dee26484f91867d81cb899cfcf72b96be6c",
        "Systran/faster-whisper-small": "536b0662742c02347bc0e980a01041f333bce120",
        "Systran/faster-whisper-small.en": "d1d751a5f8271d482d14ca55d9e2deeebbae577f",
        "Systran/faster-whisper-medium": "08e178d48790749d25932bbc082711ddcfdfbc4f",
        "Systran/faster-whisper-medium.en": "a29b04bd15381511a9af671baec01072039215e3",
        "Systran/faster-whisper-large-v2": "f0fe81560cb8b68660e564f55dd99207059c092e",
        "Systran/faster-whisper-large-v3": "edaa852ec7e145841d8ffdb056a99866b5f0a478",
        "Systran/faster-distil-whisper-small.en": "ef77d90526ccd62cde3808ee70626a01e5cf83e4",
        "Systran/faster-distil-whisper-medium.en": "80ddfce281f77766d8943d63109199fc8145dfa5",
        "Systran/faster-distil-whisper-large-v3": "c3058b475261292e64a0412df1d2681c06260fab",
    }
)
"""Commits that are fetched, as several published projects pin or cache them."""


def _listed(id: str, mb: int, memory_mb: int, description: str) -> Model:
    model = make_model(id, mb=mb, memory_mb=memory_mb, licence="MIT", description=description)
    return replace(model, revision=REVISIONS[id])


MODELS = (
    _listed("deepdml/faster-whisper-large-v3-turbo-ct2", 1621, 1700, "Near large-v3 at a fraction of its time"),
    _listed("Systran/faster-whisper-tiny", 78, 200, "Fastest; rough"),
    _listed("Systran/faster-whisper-tiny.en", 78, 200, "Fastest; English only"),
    _listed("Systran/faster-whisper-base", 148, 280, "Fast"),
    _listed("Systran/faster-whisper-base.en", 148, 280, "Fast; English only"),
    _listed("Systran/faster-whisper-small", 486, 600, "Good"),
    _listed("Systran/faster-whisper-small.en", 486, 600, "Good; English only"),
    _listed("Systran/faster-whisper-medium", 1531, 1500, "Better; slow on a CPU"),
    _listed("Systran/faster-whisper-medium.en", 1531, 1500, "Better; English only; slow on a CPU"),
    _listed("Systran/faster-whisper-large-v2", 3090, 2900, "Very good; wants a GPU"),
    _listed("Systran/faster-whisper-large-v3", 3090, 2900, "Best; wants a GPU"),
    _listed("Systran/faster-distil-whisper-small.en", 336, 450, "small.en, distilled: faster"),
    _listed("Systran/faster-distil-whisper-medium.en", 793, 850, "medium.en, distilled: faster"),
    _listed("Systran/faster-distil-whisper-large-v3", 1517, 1600, "large-v3, distilled for English"),
)
"""Bytes are of the published float16 weights."""

_TURBO = "deepdml/faster-whisper-large-v3-turbo-ct2"
_SIZES = (
    "tiny",
    "tiny.en",
    "base",
    "base.en",
    "small",
    "small.en",
    "medium",
    "medium.en",
    "large-v2",
    "large-v3",
)
_DISTILLED = ("small.en", "medium.en", "large-v3")

ALIASES: Mapping[str, str] = MappingProxyType(
    {size: f"Systran/faster-whisper-{size}" for size in _SIZES}
    | {f"whisper-{size}": f"Systran/faster-whisper-{size}" for size in _SIZES}
    | {f"distil-{size}": f"Systran/faster-distil-whisper-{size}" for size in _DISTILLED}
    | {"large": "Systran/faster-whisper-large-v3", "whisper-large": "Systran/faster-whisper-large-v3"}
    | {"turbo": _TURBO, "large-v3-turbo": _TURBO, "whisper-turbo": _TURBO, "whisper-large-v3-turbo": _TURBO}
)
"""Short names to ids."""
