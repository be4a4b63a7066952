"""Morse code (ITU-R M.1677-1) as text: one character a unit, "1" while the key is down."""

from __future__ import annotations

import re

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
CODE = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. "
    "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----."
)
SIGNS = dict(zip(ALPHABET, CODE.split(), strict=True))
LETTERS = {signs: letter for letter, signs in SIGNS.items()}


def key(word: str) -> str:
    """Key a word and the silence after it; empty when it has no letter that can be keyed."""
    letters = [SIGNS[letter] for letter in word.upper() if letter in SIGNS]
    keyed = "00".join(letter.replace(".", "10").replace("-", "1110") for letter in letters)
    return keyed + "000000" if keyed else ""


def read(keyed: str, unit: int) -> str:
    """Read a word whose units are ``unit`` characters long, more or less."""
    letters = re.split(f"0{{{2 * unit},}}", keyed)
    signs = ("".join("-" if len(down) >= 2 * unit else "." for down in re.findall("1+", each)) for each in letters)
    return "".join(LETTERS.get(each, "") for each in signs)
