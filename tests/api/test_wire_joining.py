"""One text of many segments."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech_api.wire.joining import Deltas, join


@pytest.mark.parametrize(
    ("texts", "whole"),
    [
        ([], ""),
        (["", "  "], ""),
        ([" And so,", " my fellow", " Americans."], "And so, my fellow Americans."),
        (["And so,", "my fellow", "Americans."], "And so, my fellow Americans."),
        (["And so, ", " my fellow\n", "", "Americans. "], "And so, my fellow Americans."),
        (["今日は", "良い天気。", "です"], "今日は良い天気。です"),
        (["今日は", " 良い", "天気"], "今日は 良い天気"),
        (["今日は ", "", "良い"], "今日は 良い"),
        (["今日は", " ", "良い"], "今日は 良い"),
        (["今日は", "Python", "です"], "今日は Python です"),
        (["안녕", "하세요"], "안녕 하세요"),
        (["สวัสดี", "ครับ"], "สวัสดีครับ"),
        (["one  two"], "one  two"),
    ],
)
def test_segments_join_by_single_spaces(texts: list[str], whole: str) -> None:
    assert join(texts) == whole


TEXTS = st.lists(st.text(" \nab。今ก", max_size=4))


@given(TEXTS)
def test_deltas_make_up_the_final_text(texts: list[str]) -> None:
    deltas = Deltas()
    given_ = [deltas.add(text) for text in texts]
    assert "".join(given_) == join(texts)
    assert [bool(delta) for delta in given_] == [bool(text.strip()) for text in texts]


@given(TEXTS)
def test_nothing_is_lost_but_space_at_the_joins(texts: list[str]) -> None:
    whole = join(texts)
    pattern = " ?".join(re.escape(text.strip()) for text in texts if text.strip())
    assert re.fullmatch(pattern, whole)
    assert whole == whole.strip()


@given(st.lists(st.text("abc,.", min_size=1, max_size=4)))
def test_an_engines_own_leading_space_changes_nothing(texts: list[str]) -> None:
    assert join(f" {text}" for text in texts) == join(texts) == " ".join(texts)
