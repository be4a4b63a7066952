"""What was heard of references, kept by their content; the least recently used goes first."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Prompts(Generic[T]):
    """At most ``most`` prompts. For one thread at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, samples: bytes, transcript: str, make: Callable[[], T]) -> T:
        """Give the prompt of a reference, made if it is not kept. What ``make`` raises is raised, and nothing kept."""
        key = _key(samples, transcript)
        if key not in self._kept:
            self._kept[key] = make()
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return self._kept[key]

    def clear(self) -> None:
        self._kept.clear()


def _key(samples: bytes, transcript: str) -> str:
    digest = hashlib.sha256(samples)
    digest.update(b"\0transcript\0" + transcript.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
