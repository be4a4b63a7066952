"""Morse keeps the laws of the contract."""

from __future__ import annotations

import pytest

from open_speech_core.testing import Case, cases, check_plugin


def test_the_plugin_keeps_the_laws() -> None:
    check_plugin("open_speech_morse")


@pytest.mark.parametrize("case", cases("open_speech_morse"))
def test_its_engines_keep_the_laws(case: Case) -> None:
    case.check()
