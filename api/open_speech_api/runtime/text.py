"""Text into pieces that are spoken one after another, the first one short."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import sentencex

FIRST_PIECE_CHARS = 120
"""A longer first sentence is cut at a clause, so that something is heard soon."""
PIECE_CHARS = 400
"""Longer sentences are cut, so that no step is long and a cancel is seen."""
CLAUSE_CHARS = 40
"""No clause shorter than this is cut off."""

_CLAUSE = re.compile(r"[,;:\u2013\u2014\u3001\uff0c\uff1b](?=\s|$)|[\u3001\uff0c\uff1b]")


def pieces(text: str, language: str | None = None) -> list[str]:
    """Split ``text`` into sentences, long ones at clauses; nothing that can be spoken is dropped."""
    found: list[str] = []
    for sentence in _sentences(language or "en", text):
        rest = " ".join(sentence.split())
        while rest:
            piece, rest = _cut(rest, PIECE_CHARS if found else FIRST_PIECE_CHARS)
            found.append(piece)
    return [piece for piece in found if any(character.isalnum() for character in piece)] or found[:1]


def _sentences(language: str, text: str) -> list[str]:
    segment: Callable[[str, str], Iterable[str]] = getattr(sentencex, "segment")  # noqa: B009 - the package is untyped
    return list(segment(language, text))


def _cut(text: str, limit: int) -> tuple[str, str]:
    """Take at most about ``limit`` characters off the front: at the last clause that fits, else at a space."""
    if len(text) <= limit:
        return text, ""
    clauses = [match.end() for match in _CLAUSE.finditer(text) if CLAUSE_CHARS <= match.end() <= limit]
    if clauses:
        return text[: clauses[-1]].strip(), text[clauses[-1] :].strip()
    if limit < PIECE_CHARS:
        return _cut(text, PIECE_CHARS)
    space = text.rfind(" ", CLAUSE_CHARS, limit)
    place = space if space > 0 else limit
    return text[:place].strip(), text[place:].strip()
