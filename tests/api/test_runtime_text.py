"""A text's pieces: nothing spoken is lost, none is long, the first is short."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from open_speech_api.runtime.text import FIRST_PIECE_CHARS, PIECE_CHARS, pieces

WORDS = st.lists(st.sampled_from(["one,", "two.", "three!", "Mr.", "a", "x" * 30, "\n", "—", "。", "4.5", "??"]))


def spoken(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


@given(words=WORDS)
def test_nothing_that_can_be_spoken_is_lost(words: list[str]) -> None:
    text = " ".join(words)
    assert spoken(" ".join(pieces(text))) == spoken(text)


@given(words=WORDS)
def test_no_piece_is_long(words: list[str]) -> None:
    assert all(0 < len(piece) <= PIECE_CHARS for piece in pieces(" ".join(words)))


def test_a_long_first_sentence_is_cut_at_a_clause() -> None:
    text = "When the morning came and the fog had lifted from the river, " + "we went on along the bank " * 6 + "home."
    first, *rest = pieces(text)
    assert first == "When the morning came and the fog had lifted from the river,"
    assert len(first) <= FIRST_PIECE_CHARS
    assert rest


def test_what_cannot_be_spoken_is_still_one_piece() -> None:
    assert pieces("?!") == ["?!"]
    assert pieces("Well. ... ?! Good.") == ["Well.", "Good."]
