"""States of voices in memory: the longest unused goes when they take too much."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch


class StateCache:
    """A least-recently-used cache bounded by bytes. One thread at a time."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._states: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self.bytes = 0
        self.made = 0
        """How often a state was not there and had to be made."""

    def __len__(self) -> int:
        return len(self._states)

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        """Give a state, made now if it is not here; one larger than the bound is given and not kept."""
        if key in self._states:
            self._states.move_to_end(key)
            return self._states[key][0]
        state = make()
        self.made += 1
        size = size_of(state)
        if size > self._most_bytes:
            return state
        self._states[key] = (state, size)
        self.bytes += size
        while self.bytes > self._most_bytes:
            _, (_, freed) = self._states.popitem(last=False)
            self.bytes -= freed
        return state

    def clear(self) -> None:
        self._states.clear()
        self.bytes = 0


def size_of(state: Any) -> int:
    """Give the bytes of all tensors in nested maps."""
    if isinstance(state, torch.Tensor):
        return state.numel() * state.element_size()
    return sum(map(size_of, state.values())) if isinstance(state, dict) else 0
