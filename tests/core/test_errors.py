"""The tree that is drawn is the tree that is there."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech_core import errors
from open_speech_core.errors import BY_CODE, EngineError, ErrorInfo, OpenSpeechError, from_info

LINE = re.compile(r"^ {4}(?P<indent>[ |]*)\+-- (?P<name>\w+)(?: +(?P<status>\d{3}) (?P<code>\w+))?", re.M)


def drawn() -> dict[str, tuple[str, str | None]]:
    """Read the docstring: class name to its parent's and its code."""
    path = ["OpenSpeechError"]
    found: dict[str, tuple[str, str | None]] = {}
    for match in LINE.finditer(errors.__doc__ or ""):
        depth = len(match["indent"]) // 4
        path[depth + 1 :] = [match["name"]]
        found[match["name"]] = (path[depth], match["code"])
    return found


def real(cls: type[OpenSpeechError]) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for child in cls.__subclasses__():
        if child.__module__ == errors.__name__:
            found[child.__name__] = (cls.__name__, child.code)
            found |= real(child)
    return found


def test_the_docstring_draws_every_class_below_its_parent_with_its_code() -> None:
    tree = real(OpenSpeechError)
    shown = drawn()
    assert {name: parent for name, (parent, _) in shown.items()} == {name: parent for name, (parent, _) in tree.items()}
    assert {name: code for name, (_, code) in shown.items() if code} == {
        name: tree[name][1] for name, (_, code) in shown.items() if code
    }


def test_codes_are_unique() -> None:
    assert len(BY_CODE) == len(real(OpenSpeechError)) + 1


@pytest.mark.parametrize("cls", BY_CODE.values(), ids=lambda cls: cls.__name__)
def test_an_error_survives_the_way_between_processes(cls: type[OpenSpeechError]) -> None:
    error = from_info(cls("what was wrong", param="field").info())
    assert type(error) is cls
    assert (error.message, error.param, str(error)) == ("what was wrong", "field", "what was wrong")


@given(code=st.text(), message=st.text())
def test_a_code_nobody_knows_is_an_engine_error(code: str, message: str) -> None:
    error = from_info(ErrorInfo(code=code, message=message))
    assert type(error) is BY_CODE.get(code, EngineError)
    assert error.message == message
