"""Names of stored voices: what callers write, and the one form in which a voice is stored."""

from __future__ import annotations

import re

from open_speech_core.errors import InvalidVoice

LONGEST = 64
"""Characters of a name as it is stored."""

_NAME = re.compile(rf"[a-z0-9_]{{1,{LONGEST}}}")
_DROPPED = re.compile(r"[^a-z0-9_]")
_UNDERSCORED = str.maketrans(" -", "__")


def clean_name(written: str) -> str:
    """Give the name to store a voice by: small letters, digits and ``_``, which also stands for spaces and ``-``.

    Raises:
        InvalidVoice: nothing is left, or too much.
    """
    name = _DROPPED.sub("", _folded(written))
    if not name:
        raise InvalidVoice("name: must hold a letter from a to z, a digit or '_'", param="name")
    if len(name) > LONGEST:
        raise InvalidVoice(f"name: {len(name)} characters are more than the {LONGEST} allowed", param="name")
    return name


def stored_name(written: str) -> str | None:
    """Give the name that a caller means by ``written``; None where no voice can be called so.

    Nothing is dropped here: ``../anne`` does not mean ``anne``.
    """
    name = _folded(written)
    return name if is_name(name) else None


def is_name(text: str) -> bool:
    """Say whether a voice may be stored by just this name."""
    return _NAME.fullmatch(text) is not None


def _folded(written: str) -> str:
    return written.strip(" ").lower().translate(_UNDERSCORED)
