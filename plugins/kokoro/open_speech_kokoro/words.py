"""When each word is heard, from the frames that the model gives each phoneme."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import accumulate, islice, pairwise
from typing import Any

import numpy as np

from open_speech_core.types import Timing

MARKS = ' .,!?;:—…"“”«»()'
"""They stand for the silence behind a word, not for its sound."""


def word_spans(words: Sequence[str], said: str) -> list[tuple[int, int]]:
    """Give the range of phonemes each word takes in the text.

    Args:
        words: phonemes of each word when it is spoken alone.
        said: phonemes of the text, where some words may be joined or changed by their neighbours.
    """
    groups = [match.span() for match in re.finditer(r"\S+", said)]
    counts = [len(word.split()) for word in words]
    if sum(counts) == len(groups):
        rest = iter(groups)
        spans = [(own[0][0], own[-1][1]) for count in counts if (own := list(islice(rest, count)))]
    else:
        spans = _matched(words, said)
    return [(start, _sounding(said, start, end)) for start, end in spans]


def _matched(words: Sequence[str], said: str) -> list[tuple[int, int]]:
    """Place the words by what their phonemes share with the text's."""
    alone = " ".join(words)
    blocks = SequenceMatcher(None, alone, said, autojunk=False).get_matching_blocks()
    ends = list(accumulate(len(word) + 1 for word in words))
    bounds = [0, *(_place(min(end, len(alone)), blocks) for end in ends)]
    return [(start, max(start, end)) for start, end in pairwise(accumulate(bounds, max))]


def _place(bound: int, blocks: Sequence[Any]) -> int:
    """Carry a place over from the words to the text: within a block as it lies, between two to the later one."""
    for block in blocks:
        if bound < block.a:
            return int(block.b)
        if bound <= block.a + block.size:
            return int(block.b + bound - block.a)
    return int(blocks[-1].b)


def _sounding(said: str, start: int, end: int) -> int:
    return start + len(said[start:end].rstrip(MARKS))


class WordTimes:
    """The words of one text; told of its pieces in order, it gives the times of the words in each."""

    def __init__(self, words: Sequence[tuple[str, str]], said: str) -> None:
        """Take the words with their phonemes, and the phonemes of the whole text."""
        heard = [(word, phonemes) for word, phonemes in words if phonemes.strip(MARKS)]
        spans = word_spans([phonemes for _, phonemes in heard], said)
        self._words = [(word, *span) for (word, _), span in zip(heard, spans, strict=True)]

    def of(
        self, start: int, end: int, durations: Any, *, samples: int, head: int, kept: int, since: int, rate: int
    ) -> Iterator[Timing]:
        """Give the words that begin in a piece.

        Args:
            start: of the piece in the text's phonemes.
            end: of the piece.
            durations: frames of its tokens, the silence before and the silence after included.
            samples: length of what the model made of it.
            head: samples cut off the front.
            kept: samples that were kept.
            since: samples of the pieces before.
            rate: Hz.
        """
        frames = np.asarray(durations, np.float64).ravel()
        if len(frames) != end - start + 2 or not frames.sum():
            return
        edges = np.cumsum(frames)[:-1] * (samples / frames.sum()) - head
        edges = (np.clip(edges, 0, kept) + since) / rate
        for word, first, last in self._words:
            if start <= first < end and last > first:
                begin, finish = edges[first - start], edges[min(last, end) - start]
                yield Timing(word=word, start=float(begin), end=float(finish))
