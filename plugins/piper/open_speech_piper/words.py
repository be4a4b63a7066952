"""When each word is spoken, from how long the voice makes each phoneme."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import numpy as np

from open_speech_core.types import Timing

if TYPE_CHECKING:
    from piper import AudioChunk, PiperVoice

SPACE = " "


class WordTimes:
    """The words of one text; told of its pieces in order, it gives the times of the words in each."""

    def __init__(self, voice: PiperVoice, text: str) -> None:
        pieces = voice.phonemize(text)
        words = [(word, flat(voice.phonemize(word))) for word in text.split()]
        heard = [(word, phonemes) for word, phonemes in words if phonemes]
        spans = word_spans([phonemes for _, phonemes in heard], pieces)
        self._words = [(word, *span) for (word, _), span in zip(heard, spans, strict=True)]
        self._phonemes = 0
        self._seconds = 0.0

    def of(self, chunk: AudioChunk) -> Iterator[Timing]:
        """Give the words that begin in a piece; none where the voice did not say how long its phonemes are."""
        first, since = self._phonemes, self._seconds
        self._phonemes += len(chunk.phonemes)
        self._seconds += chunk.audio_float_array.size / chunk.sample_rate
        lengths = [each.num_samples for each in chunk.phoneme_alignments or ()]
        if len(lengths) != len(chunk.phonemes) + 2:
            return
        # The first and the last stand for the silence around the piece.
        starts = since + np.cumsum(lengths)[:-1] / chunk.sample_rate
        for word, start, end in self._words:
            if first <= start < self._phonemes:
                last = min(end, self._phonemes)
                yield Timing(word=word, start=float(starts[start - first]), end=float(starts[last - first]))


def flat(pieces: Sequence[Sequence[str]]) -> list[str]:
    return [phoneme for piece in pieces for phoneme in piece]


def word_spans(words: Sequence[Sequence[str]], pieces: Sequence[Sequence[str]]) -> list[tuple[int, int]]:
    """Give the range of phonemes that each word takes in the spoken text.

    Args:
        words: the phonemes of each word when it is spoken alone.
        pieces: those of the text, in pieces; words are parted by spaces where the language's rules do not join them.
    """
    groups = iter(found := _groups(pieces))
    counts = [len(_groups([word])) for word in words]
    if sum(counts) != len(found) or 0 in counts:
        return _matched(words, pieces)
    own = [list(islice(groups, count)) for count in counts]
    return [(parts[0][0], parts[-1][1]) for parts in own]


def _groups(pieces: Sequence[Sequence[str]]) -> list[tuple[int, int]]:
    groups: list[tuple[int, int]] = []
    at = 0
    for piece in pieces:
        start = at
        for phoneme in [*piece, SPACE]:
            if phoneme == SPACE:
                if at > start:
                    groups.append((start, at))
                start = at + 1
            at += 1
        at -= 1
    return groups


def _matched(words: Sequence[Sequence[str]], pieces: Sequence[Sequence[str]]) -> list[tuple[int, int]]:
    """Find the words where some are spoken as one, by what their phonemes share with the text's."""
    spoken, alone = flat(pieces), flat(words)
    matcher = SequenceMatcher(None, alone, spoken, autojunk=False)
    anchors = [(0, 0), *((block.a, block.b) for block in matcher.get_matching_blocks())]
    ends = np.cumsum([len(word) for word in words]).tolist()
    # The last block is the end of both.
    bounds = [_place(bound, anchors) for bound in [0, *ends]]
    return list(pairwise(bounds))


def _place(bound: int, anchors: Sequence[tuple[int, int]]) -> int:
    """Carry a place in one sequence over to the other, from the anchor before it."""
    at = bisect_right(anchors, bound, key=lambda anchor: anchor[0]) - 1
    alone, spoken = anchors[at]
    limit = anchors[min(at + 1, len(anchors) - 1)][1]
    return min(spoken + bound - alone, limit)
