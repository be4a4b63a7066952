"""Who said what: a recogniser's words and a diarizer's turns, put together by time. Pure logic."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from open_speech_api.wire.joining import unspaced
from open_speech_core.types import Segment, SpeakerTurn, Word

LEAST_WORD_S = 0.01
"""A word without length of its own is taken to last this long, so that it can overlap a turn."""


class Turns:
    """Turns of any order, some perhaps at the same time, asked by time."""

    def __init__(self, turns: Iterable[SpeakerTurn]) -> None:
        self._turns = sorted(turns, key=lambda turn: (turn.start, turn.end))
        self._starts = [turn.start for turn in self._turns]
        self._latest: list[int] = []
        """Of the turns up to here, the one that ends last."""
        for number, turn in enumerate(self._turns):
            last = self._latest[-1] if self._latest else number
            self._latest.append(number if turn.end > self._turns[last].end else last)

    def speaker(self, start: float, end: float) -> str | None:
        """Give who speaks longest between ``start`` and ``end``, else who does nearest to it; None without turns."""
        end = max(end, start + LEAST_WORD_S)
        after = bisect_left(self._starts, end)
        best, most_s = None, 0.0
        number = after - 1
        # From here on back nobody reaches into the word once the latest end does not.
        while number >= 0 and self._turns[self._latest[number]].end > start:
            turn = self._turns[number]
            shared_s = min(end, turn.end) - max(start, turn.start)
            if shared_s >= most_s and shared_s > 0:
                best, most_s = turn, shared_s
            number -= 1
        nearest = best or self._nearest(start, end, after)
        return nearest.speaker if nearest else None

    def _nearest(self, start: float, end: float, after: int) -> SpeakerTurn | None:
        before = self._turns[self._latest[after - 1]] if after else None
        follows = self._turns[after] if after < len(self._turns) else None
        if before is None or follows is None:
            return before or follows
        return before if start - before.end <= follows.start - end else follows


class _Piece(Struct, frozen=True, kw_only=True):
    """Words of one speaker that follow one another; ``first`` is where their text begins."""

    speaker: str | None
    first: int
    words: tuple[Word, ...]


def told_apart(segments: Iterable[Segment], turns: Iterable[SpeakerTurn]) -> Iterator[Segment]:
    """Give the segments with their speakers; one in which speakers change becomes several.

    Each word goes to the turn that it overlaps most, or to the nearest. The text stays as it is, to the letter: joined,
    the segments say what they said before. What belongs to a whole segment (tokens, probabilities of text) stays whole:
    log-probabilities with its first part, tokens with none.
    """
    known = Turns(turns)
    for segment in segments:
        pieces = list(_pieces(segment, known))
        if len(pieces) < 2:
            speaker = pieces[0].speaker if pieces else known.speaker(segment.start, segment.end)
            yield replace(segment, speaker=speaker)
        else:
            yield from _parts(segment, pieces)


def _pieces(segment: Segment, turns: Turns) -> Iterator[_Piece]:
    """Give runs of words of one speaker; nothing where the words are unknown or are not those of the text."""
    places = _places(segment.text, segment.words or ())
    if places is None:
        return
    run: list[Word] = []
    first, speaker = 0, None
    for word, at in zip(segment.words or (), places, strict=True):
        said_by = turns.speaker(word.start, word.end)
        if run and said_by != speaker and _may_cut(segment.text, at):
            yield _Piece(speaker=speaker, first=first, words=tuple(run))
            run, first = [], at
        if not run:
            speaker = said_by
        run.append(word)
    if run:
        yield _Piece(speaker=speaker, first=first, words=tuple(run))


def _places(text: str, words: Sequence[Word]) -> list[int] | None:
    """Find where each word, with the space before it, begins in the text; None where one is not there."""
    places: list[int] = []
    end = 0
    for word in words:
        plain = word.word.strip()
        found = text.find(plain, end)
        if found < 0:
            return None
        places.append(found - (len(text[end:found]) - len(text[end:found].rstrip())))
        end = found + len(plain)
    return places


def _may_cut(text: str, at: int) -> bool:
    """Say whether a text cut here reads the same when its parts are joined again."""
    before, after = text[:at], text[at:]
    left, right = before.rstrip(), after.lstrip()
    if not left or not right:
        return False
    gap = before[len(left) :] + after[: len(after) - len(right)]
    return gap == " " or (not gap and unspaced(left[-1]) and unspaced(right[0]))


def _parts(segment: Segment, pieces: Sequence[_Piece]) -> Iterator[Segment]:
    """Cut a segment; its own times stay at both of its ends."""
    last = len(pieces) - 1
    for number, piece in enumerate(pieces):
        until = pieces[number + 1].first if number < last else None
        start = piece.words[0].start if number else segment.start
        end = piece.words[-1].end if number < last else segment.end
        yield replace(
            segment,
            start=start,
            end=max(start, end),
            text=segment.text[piece.first if number else 0 : until],
            tokens=None,
            words=piece.words,
            logprobs=segment.logprobs if number == 0 else None,
            speaker=piece.speaker,
        )
