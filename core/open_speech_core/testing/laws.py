"""A law, its breach, and the record of those that were kept."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from open_speech_core.types import CANCEL_S

T = TypeVar("T")


class Violation(AssertionError):
    """A law of the contract is broken."""

    def __init__(self, law: str, subject: str, message: str) -> None:
        super().__init__(f"{subject} breaks {law!r}: {message}")
        self.law = law
        self.subject = subject
        self.message = message


class Report(Struct, frozen=True, kw_only=True):
    """What was checked."""

    subject: str
    kept: tuple[str, ...]
    """Laws that held."""
    skipped: tuple[str, ...] = ()
    """Laws that could not be tried, each with the reason."""
    slowest_step_ms: float = 0.0
    slowest_cancel_ms: float = 0.0
    """Longest time until the engine was free after a cancel; 0 where none was tried."""
    promise_s: float = CANCEL_S
    """Time it promises for that."""
    memory_kb: float | None = None
    """What a call leaves behind; None where it was not measured."""


class Ledger:
    """Collects what was checked of one subject."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.slowest_step_ms = 0.0
        self.slowest_cancel_ms = 0.0
        self.promise_s = CANCEL_S
        self.memory_kb: float | None = None
        self._kept: dict[str, None] = {}
        self._skipped: list[str] = []

    def require(self, law: str, holds: bool, message: str) -> None:
        """Raise ``Violation`` unless the law holds here."""
        if not holds:
            raise Violation(law, self.subject, message)
        self._kept[law] = None

    def require_type(self, law: str, value: object, *kinds: type) -> None:
        """Raise ``Violation`` unless ``value``, which a stranger made, is one of ``kinds``."""
        self.require(law, isinstance(value, kinds), f"{value!r} is no {kinds[0].__name__}")

    def skip(self, law: str, reason: str) -> None:
        self._skipped.append(f"{law}: {reason}")

    def run(self, law: str, what: str, work: Callable[[], T], *allowed: type[Exception]) -> T | None:
        """Do ``work``, which may raise only ``allowed``; None when it did."""
        try:
            result = work()
        except allowed:
            result = None
        except Violation:
            raise
        except Exception as error:  # fence: a stranger's code
            raise Violation(law, self.subject, f"{what} raised\n{traceback.format_exc()}") from error
        self._kept[law] = None
        return result

    def report(self) -> Report:
        return Report(
            subject=self.subject,
            kept=tuple(self._kept),
            skipped=tuple(self._skipped),
            slowest_step_ms=self.slowest_step_ms,
            slowest_cancel_ms=self.slowest_cancel_ms,
            promise_s=self.promise_s,
            memory_kb=self.memory_kb,
        )
