"""How clients write languages."""

from __future__ import annotations

import pytest

from open_speech_api.wire.languages import NAMES, SYNONYMS, code_of, name_of
from open_speech_core.errors import InvalidRequest


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("en", "en"),
        ("EN", "en"),
        ("en-US", "en"),
        ("zh_Hant_TW", "zh"),
        ("English", "en"),
        (" german ", "de"),
        ("haitian creole", "ht"),
        ("Mandarin", "zh"),
        ("yue", "yue"),
        ("nb-NO", "no"),
        ("iw", "he"),
        ("fil-PH", "tl"),
    ],
)
def test_codes_tags_and_names_give_a_code(written: str, code: str) -> None:
    assert code_of(written) == code


@pytest.mark.parametrize("written", ["klingon", "xx", "e", "-", "en1", "english please"])
def test_an_unknown_language_is_refused_by_name(written: str) -> None:
    with pytest.raises(InvalidRequest, match="not a known language") as caught:
        code_of(written, param="languages")
    assert caught.value.param == "languages"


def test_the_table_is_whispers_with_one_name_a_code() -> None:
    assert len(NAMES) == 100
    assert len(set(NAMES.values())) == 100
    assert set(SYNONYMS.values()) <= set(NAMES)
    assert not set(SYNONYMS) & set(NAMES)


def test_verbose_json_gets_the_english_name() -> None:
    assert [name_of(code) for code in ("en", "ht", "qx", None)] == [
        "english",
        "haitian creole",
        "qx",
        "unknown",
    ]
