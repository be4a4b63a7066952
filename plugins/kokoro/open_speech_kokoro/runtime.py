"""What a runtime is to the engine: phonemes in, samples out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from open_speech_core.providers import Context
from open_speech_core.types import Float32

from .packs import Pack


class Rendered(Struct, frozen=True, kw_only=True):
    """What the model made of one piece."""

    samples: Float32
    durations: Any = None
    """Frames of each token, the one before and the one after the piece included; None where the weights hide them."""


class Runtime(Protocol):
    """A loaded model."""

    vocab: Mapping[str, int]
    """Phoneme to token."""
    device: str
    compute_type: str

    @property
    def has_durations(self) -> bool:
        """Say whether ``render`` gives durations."""
        ...

    def render(
        self, tokens: Sequence[int], pack: Pack, speed: float, context: Context, *, seed: int | None = None
    ) -> Rendered:
        """Speak at most 510 tokens; where chance has a part, a seed holds it still.

        Raises ``Cancelled`` within its work once the caller has left.
        """
        ...
