"""Blends: ``af_bella(2)+af_sky(1)`` is two thirds of one voice and a third of another.

    spec      := component ( "+" component )*
    component := name [ "(" number ")" ]

Blanks around a component count for nothing; a weight that is left out is 1.
"""

from __future__ import annotations

import re

from open_speech_core.errors import VoiceNotFound

from .voices import OPENAI

MOST_VOICES = 8
_COMPONENT = re.compile(r"(?P<name>\w+)\s*(?:\(\s*(?P<weight>\d{1,9}(?:\.\d{1,9})?)\s*\))?", re.ASCII)

Blend = tuple[tuple[str, float], ...]
"""Voices and their shares, which sum to 1; each voice once, in the order of their first mention."""


def parse_blend(spec: str) -> Blend:
    """Read a voice or a blend of voices, OpenAI's names included. Raises ``VoiceNotFound``."""
    components = spec.split("+")
    if len(components) > MOST_VOICES:
        raise VoiceNotFound(f"a blend has at most {MOST_VOICES} voices, not {len(components)}", param="voice")
    weights: dict[str, float] = {}
    for component in components:
        match = _COMPONENT.fullmatch(component.strip())
        if match is None:
            raise VoiceNotFound(
                f"{spec[:100]!r} is no voice and no blend of voices; write NAME or NAME(WEIGHT)+NAME(WEIGHT), "
                "such as af_bella(2)+af_sky(1)",
                param="voice",
            )
        name = OPENAI.get(match["name"], match["name"])
        weights[name] = weights.get(name, 0.0) + float(match["weight"] or 1)
    total = sum(weights.values())
    if total == 0:
        return tuple((name, 1 / len(weights)) for name in weights)
    return tuple((name, weight / total) for name, weight in weights.items() if weight)
