"""mypy and pyright, both strict, see the contract's types in ``contract.py`` as its comments say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("contract.py")
EXPECTED = re.compile(r"reveal_type\(.*\)  # (.+)$")


def expected() -> dict[int, str]:
    lines = FILE.read_text().splitlines()
    return {number: match[1] for number, line in enumerate(lines, 1) if (match := EXPECTED.search(line))}


def short(revealed: str) -> str:
    """Drop module names: ``builtins.str`` is ``str``."""
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", revealed)


def compare(revealed: dict[int, str], errors: list[str]) -> None:
    assert errors == []
    assert revealed.keys() == expected().keys()
    wrong = {line: (revealed[line], said) for line, said in expected().items() if said not in revealed[line]}
    assert wrong == {}


def test_mypy_agrees() -> None:
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(FILE)]
    said = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout.splitlines()
    notes = [re.match(r'.*?:(\d+): note: Revealed type is "(.+)"$', line) for line in said]
    compare(
        {int(note[1]): short(note[2]) for note in notes if note},
        [line for line, note in zip(said, notes, strict=True) if not note],
    )


def test_pyright_agrees() -> None:
    pytest.importorskip("pyright")
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson", str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if not done.stdout.startswith("{"):
        pytest.skip(f"pyright does not run here: {done.stderr[-300:]}")
    said = json.loads(done.stdout)["generalDiagnostics"]
    notes = {
        one["range"]["start"]["line"] + 1: short(one["message"].split('" is "', 1)[1])
        for one in said
        if one["severity"] == "information"
    }
    compare(notes, [f"{one['message']}" for one in said if one["severity"] == "error"])
