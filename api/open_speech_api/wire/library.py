"""Stored voices, as clients send and read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from .fields import FormValue, decode_fields

LONGEST_TEXT = 4096
"""Characters of what goes with a recording of at most two minutes."""


class VoiceFields(Struct, frozen=True, kw_only=True):
    """``POST /api/voices/library``, beside the recording; None is unset."""

    name: str
    """Stored in small letters; ``_`` stands for spaces and ``-``, other characters are dropped."""
    transcript: Annotated[str, Meta(max_length=LONGEST_TEXT)] | None = None
    """What is said in the recording."""
    consent: Annotated[str, Meta(max_length=LONGEST_TEXT)] | None = None
    """A note on how the speaker agreed."""
    overwrite: bool = False
    """Replace a voice of the same name."""


class StoredVoice(Struct, frozen=True, kw_only=True):
    """A voice of the library."""

    name: str
    content_type: str
    size_bytes: int
    created_at: datetime
    duration_s: float | None
    sample_rate: int | None
    """In Hz."""
    transcript: str | None
    consent: str | None


class StoredVoiceList(Struct, frozen=True, kw_only=True):
    voices: tuple[StoredVoice, ...]


def decode_voice(fields: Mapping[str, FormValue]) -> VoiceFields:
    """Decode a form; a name that was not sent is an empty one. Raises ``InvalidRequest`` naming the field."""
    return decode_fields(VoiceFields, {"name": "", **fields})
