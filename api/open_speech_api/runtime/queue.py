"""Who is next: live callers before batch, and fair between callers of each class."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """A queue that takes turns between callers, live ones first.

    Each caller's own entries keep their order. Nothing is bounded here: the pool counts.
    """

    def __init__(self) -> None:
        self._classes: tuple[OrderedDict[str, deque[T]], ...] = (OrderedDict(), OrderedDict())

    def __len__(self) -> int:
        return sum(len(entries) for callers in self._classes for entries in callers.values())

    def push(self, entry: T, *, caller: str, live: bool) -> None:
        """Add an entry behind the caller's others."""
        self._classes[0 if live else 1].setdefault(caller, deque()).append(entry)

    def pop(self) -> T:
        """Take the next entry; the caller it came from goes to the end of its class. Raises ``IndexError``."""
        for callers in self._classes:
            if callers:
                caller, entries = callers.popitem(last=False)
                entry = entries.popleft()
                if entries:
                    callers[caller] = entries
                return entry
        raise IndexError("pop from an empty queue")

    def peek(self) -> T:
        """Give what ``pop`` would take. Raises ``IndexError``."""
        for callers in self._classes:
            for entries in callers.values():
                return entries[0]
        raise IndexError("peek into an empty queue")

    def remove(self, entry: T) -> None:
        """Take an entry out, wherever it is; nothing happens when it is not there."""
        for callers in self._classes:
            for caller, entries in list(callers.items()):
                if entry in entries:
                    entries.remove(entry)
                    if not entries:
                        del callers[caller]
                    return
