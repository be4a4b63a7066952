"""A text in the pieces that are spoken at once: sentences, and of very long ones their parts."""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST = 300
"""Longest piece in characters: what is spoken at once is heard only when it is whole."""

_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])\s*|\n+")  # noqa: RUF001
_SPECIAL = re.compile(r"<\|[^<>|]*\|>|<tts_\w+>")
"""The model's own marks; in a text they would end it or take its role."""


def plain(text: str) -> str:
    """Take out what the model would read as its own marks, and what cannot be seen."""
    while (rest := _SPECIAL.sub(" ", text)) != text:
        text = rest
    return "".join(character if character.isprintable() else " " for character in text).strip()


def sentences(text: str, most: int = MOST) -> Iterator[str]:
    """Give the pieces of a text that have something to say, none longer than ``most``."""
    for sentence in _END.split(text):
        for piece in _cut(plain(sentence), most):
            if any(character.isalnum() for character in piece):
                yield piece


def _cut(sentence: str, most: int) -> Iterator[str]:
    while len(sentence) > most:
        at = max(sentence.rfind(mark, most // 2, most) for mark in ",;:，、； ") + 1 or most  # noqa: RUF001
        yield sentence[:at].strip()
        sentence = sentence[at:].strip()
    yield sentence
