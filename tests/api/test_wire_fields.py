"""Brackets of a form, and its texts as values of a Struct's types."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from open_speech_api.wire.fields import FormValue, decode_fields, fitted, fold
from open_speech_core.errors import InvalidRequest
from open_speech_core.options import decode_request_options


class Vad(Struct, frozen=True, kw_only=True):
    type: str
    threshold: float = 0.5


class Options(Struct, frozen=True, kw_only=True):
    beam: Annotated[int, Meta(ge=1, le=10)] | None = None
    fast: bool | None = None
    words: tuple[str, ...] | None = None
    kinds: tuple[Literal["a", "b"], ...] | None = None
    vad: Literal["auto"] | Vad | None = None
    note: str | None = None


@pytest.mark.parametrize(
    ("pairs", "folded"),
    [
        ([("x", "1")], {"x": "1"}),
        ([("x[]", "1")], {"x": ("1",)}),
        ([("x[]", "1"), ("x[]", "2")], {"x": ("1", "2")}),
        ([("x", "1"), ("y", "3"), ("x", "2")], {"x": ("1", "2"), "y": "3"}),
        ([("x[a]", "1"), ("x[b][c]", "2"), ("x[d][]", "3")], {"x": {"a": "1", "b": {"c": "2"}, "d": ("3",)}}),
        ([("x", ""), ("y", " null "), ("z[]", ""), ("z[]", "1")], {"z": ("1",)}),
        (
            [("x[", "1"), ("]y", "2"), ("[z]", "3"), ("a[b]c", "4")],
            {"x[": "1", "]y": "2", "[z]": "3", "a[b]c": "4"},
        ),
    ],
)
def test_brackets_fold(pairs: list[tuple[str, str]], folded: dict[str, FormValue]) -> None:
    assert fold(pairs) == folded


@pytest.mark.parametrize(
    "pairs",
    [
        [("x", "1"), ("x[a]", "2")],
        [("x[a]", "1"), ("x[]", "2")],
        [("x[a]", "1"), ("x[a][b]", "2")],
        [("x[a][b][c][d][e]", "1")],
        [("x[][a]", "1")],
    ],
)
def test_brackets_that_contradict_are_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        fold(pairs)
    assert caught.value.param == "x"


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("beam", " 5 ")], Options(beam=5)),
        ([("beam", "3"), ("beam", "4")], Options(beam=4)),
        ([("fast", "True")], Options(fast=True)),
        ([("fast", "YES")], Options(fast=True)),
        ([("fast", "0")], Options(fast=False)),
        ([("words[]", "one, two")], Options(words=("one, two",))),
        ([("words", "one, two")], Options(words=("one", "two"))),
        ([("words", '["one, two"]')], Options(words=("one, two",))),
        ([("words", "data:audio/wav;base64,AAAA")], Options(words=("data:audio/wav;base64,AAAA",))),
        ([("kinds[]", "a,b")], Options(kinds=("a", "b"))),
        ([("vad", "auto")], Options(vad="auto")),
        ([("vad", '"auto"')], Options(vad="auto")),
        ([("vad", '{"type":"x","threshold":0.25}')], Options(vad=Vad(type="x", threshold=0.25))),
        ([("vad[type]", "x"), ("vad[threshold]", "0.25")], Options(vad=Vad(type="x", threshold=0.25))),
        ([("note", " kept as it is ")], Options(note=" kept as it is ")),
        ([("unknown[a]", "1")], Options()),
    ],
)
def test_texts_become_values(pairs: list[tuple[str, str]], expected: Options) -> None:
    assert decode_fields(Options, fold(pairs)) == expected


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("beam", "11")], "beam: Expected integer <= 10; '11' was sent"),
        ([("beam", "many")], "beam: Expected integer, got text; 'many' was sent"),
        ([("beam[a]", "1")], "beam: Expected integer, got object"),
        ([("fast", "maybe")], "fast: 'maybe' is not true or false"),
        ([("kinds[]", "c")], "kinds: Invalid enum value 'c'; one of a, b"),
        ([("kinds", "int")], "kinds: Invalid enum value 'int'; one of a, b"),
        ([("words[a]", "1")], "words: Expected array, got object"),
        ([("words", '["secret"')], "words: not valid JSON"),
        ([("words", '["secret", 1]')], "words: Expected text, got integer"),
        ([("vad", "{")], "vad: not valid JSON"),
        ([("words", "[" * 200_000)], "words: not valid JSON"),
        ([("vad[threshold]", "1")], "vad: Object missing required field type"),
    ],
)
def test_a_bad_value_is_named(pairs: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_fields(Options, fold(pairs))
    assert (caught.value.message, caught.value.param) == (message, message.partition(":")[0])


def test_what_is_sent_back_is_bounded() -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_fields(Options, {"kinds": "x" * 60_000})
    assert len(caught.value.message) < 400


def test_fitted_fields_serve_a_providers_request_options() -> None:
    fields = fold([("fast", "on"), ("words", "a,b"), ("beam", "2"), ("model", "m")])
    assert decode_request_options(Options, fitted(Options, fields), strict=False) == Options(
        fast=True, words=("a", "b"), beam=2
    )


NAMES = st.text("ab[]", max_size=6)
TEXTS = st.sampled_from(["", "null", "1", "a,b", "{}", "[", '"', "true"])


@given(st.lists(st.tuples(NAMES, TEXTS), max_size=6))
def test_any_form_is_folded_or_refused_by_name(pairs: list[tuple[str, str]]) -> None:
    def leaves(value: Any) -> list[str]:
        if isinstance(value, str):
            return [value]
        return [leaf for part in (value.values() if isinstance(value, dict) else value) for leaf in leaves(part)]

    try:
        folded = fold(pairs)
    except InvalidRequest as error:
        if error.param is None:
            raise
        return
    said = sorted(text for _, text in pairs if text not in ("", "null"))
    assert sorted(leaves(folded)) == said


@given(st.dictionaries(st.sampled_from(Options.__struct_fields__), TEXTS | st.lists(TEXTS).map(tuple)))
def test_any_text_is_decoded_or_refused_by_name(fields: dict[str, FormValue]) -> None:
    try:
        decode_fields(Options, {name: value for name, value in fields.items() if value})
    except InvalidRequest as error:
        if error.param not in fields:
            raise
