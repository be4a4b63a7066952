"""One text from the texts of segments, at once or as deltas."""

from __future__ import annotations

from collections.abc import Iterable

UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x312F),  # Han radicals, CJK punctuation, kana, bopomofo
    (0x31A0, 0x4DBF),  # kana and Han extensions
    (0x4E00, 0x9FFF),  # Han
    (0xF900, 0xFAFF),  # Han compatibility
    (0xFF00, 0xFF9F),  # full-width forms, half-width kana
    (0x20000, 0x3FFFF),  # Han extensions
)
"""Code points of scripts that write no space between sentences; Korean does write one."""


class Deltas:
    """Turns segments into deltas whose concatenation is the final text.

    Engines differ in whether a segment begins with its space; here the space stands before each segment but
    the first, once, and not between two characters of a script without spaces unless the engine gave one.
    """

    def __init__(self) -> None:
        self._last = ""
        """Last character so far; empty before the first text."""
        self._spaced = False
        """The segment before ended in space of its own."""

    def add(self, segment_text: str) -> str:
        """Give the delta of the next segment; empty when there is nothing to say."""
        piece = segment_text.strip()
        if not piece:
            self._spaced = self._spaced or bool(segment_text)
            return ""
        given = self._spaced or not segment_text.startswith(piece)
        space = " " if self._last and (given or not _joined(self._last, piece[0])) else ""
        self._last, self._spaced = piece[-1], not segment_text.endswith(piece)
        return space + piece


def join(texts: Iterable[str]) -> str:
    """Give the final text of all segments."""
    deltas = Deltas()
    return "".join([deltas.add(text) for text in texts])


def _joined(left: str, right: str) -> bool:
    return unspaced(left) and unspaced(right)


def unspaced(character: str) -> bool:
    """Say whether a character is of a script that writes no space between sentences."""
    point = ord(character)
    return any(first <= point <= last for first, last in UNSPACED)
