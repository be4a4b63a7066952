"""How far it is, told to whoever waits."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a person sees; a pipe sees only what was said."""

    def say(self, line: str) -> None:
        """Tell something that stays."""

    def step(self, text: str) -> None:
        """Say what is being done now."""

    def count(self, done: float, total: float) -> None:
        """Say how many bytes of the present step are done."""
