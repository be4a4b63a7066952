"""A text's phonemes into pieces that are spoken one after another, the first one short."""

from __future__ import annotations

import re
from collections.abc import Iterator

FIRST_PHONEMES = 90
"""A longer first sentence is cut at a clause or a word, so that something is heard soon."""
PIECE_PHONEMES = 100
"""About 6 s of speech: the next piece is ready before this one was heard, also where the model is slow."""
LEAST_PHONEMES = 12
"""The model speaks fewer than these badly, so they stay with what follows."""

_SENTENCE = re.compile(r"[.!?…]+[\"”»)]*(?=\s|$)")
_CLAUSE = re.compile(r"[,;:—]+[\"”»)]*(?=\s|$)")
_WORD = re.compile(r"\S(?=\s)")


def split_phonemes(
    phonemes: str, *, first: int = FIRST_PHONEMES, most: int = PIECE_PHONEMES
) -> Iterator[tuple[int, int]]:
    """Give start and end of each piece, without the blanks around it."""
    start, end = 0, len(phonemes)
    while start < end:
        if phonemes[start].isspace():
            start += 1
            continue
        cut = _cut(phonemes, start, most, soon=False) if start else _cut(phonemes, 0, min(first, most), soon=True)
        yield start, start + len(phonemes[start:cut].rstrip())
        start = cut


def _cut(phonemes: str, start: int, most: int, *, soon: bool) -> int:
    """Give where the piece from ``start`` ends: after a sentence if one fits, else a clause, a word, or anywhere.

    ``soon`` takes the first sentence of some length, otherwise as many sentences as fit.
    """
    limit = min(start + most, len(phonemes))
    # One more, so that the blank after a mark is seen.
    shown = phonemes[: limit + 1]
    for boundary in (_SENTENCE, _CLAUSE, _WORD):
        ends = [match.end() for match in boundary.finditer(shown, start) if match.end() <= limit]
        ends = [end for end in ends if end - start >= LEAST_PHONEMES]
        if boundary is _SENTENCE and soon and ends:
            return ends[0]
        if len(phonemes) - start <= most:
            return len(phonemes)
        if ends:
            return ends[-1]
    return limit


PAUSES = {**dict.fromkeys(".!?…", 0.25), **dict.fromkeys(",;:", 0.1)}
"""Seconds of silence after a piece that ends so; the model's own, of any length, is cut off."""


def pause_after(piece: str) -> float:
    """Give the seconds of silence after a piece, as kokoro-onnx does."""
    return PAUSES.get(piece.rstrip('"”») ')[-1:], 0.0)
