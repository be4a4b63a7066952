"""Who is next: live before batch, fair between callers, each caller's own in order."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech_api.runtime.queue import FairQueue

CALLERS = st.sampled_from(["a", "b", "c"])
ENTRIES = st.lists(st.tuples(CALLERS, st.booleans()), max_size=30)
Entry = tuple[str, bool, int]


def filled(entries: list[tuple[str, bool]]) -> tuple[FairQueue[Entry], list[Entry]]:
    queue: FairQueue[Entry] = FairQueue()
    pushed = [(caller, live, number) for number, (caller, live) in enumerate(entries)]
    for entry in pushed:
        queue.push(entry, caller=entry[0], live=entry[1])
    return queue, pushed


def emptied(queue: FairQueue[Entry]) -> list[Entry]:
    taken = []
    while len(queue):
        first = queue.peek()
        taken.append(queue.pop())
        assert taken[-1] == first
    return taken


@given(ENTRIES)
def test_nothing_is_lost_and_live_comes_first(entries: list[tuple[str, bool]]) -> None:
    queue, pushed = filled(entries)
    assert len(queue) == len(pushed)
    taken = emptied(queue)
    assert sorted(taken) == sorted(pushed)
    assert [live for _, live, _ in taken] == sorted((live for _, live in entries), reverse=True)


@given(ENTRIES)
def test_a_callers_own_keep_their_order(entries: list[tuple[str, bool]]) -> None:
    queue, _ = filled(entries)
    numbers: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for caller, live, number in emptied(queue):
        numbers[caller, live].append(number)
    assert all(each == sorted(each) for each in numbers.values())


@given(ENTRIES)
def test_callers_take_turns(entries: list[tuple[str, bool]]) -> None:
    """While a caller waits, no other one is served twice."""
    queue, pushed = filled(entries)
    taken = emptied(queue)
    for live in (True, False):
        order = [caller for caller, of, _ in taken if of is live]
        left = {caller: sum(1 for each, of, _ in pushed if of is live and each == caller) for caller in "abc"}
        since: dict[str, set[str]] = {caller: set() for caller in "abc"}
        for caller in order:
            for other in "abc":
                if other != caller and left[other]:
                    assert caller not in since[other], (order, caller, other)
                    since[other].add(caller)
            since[caller].clear()
            left[caller] -= 1


@given(ENTRIES, st.data())
def test_who_left_is_not_served(entries: list[tuple[str, bool]], data: st.DataObject) -> None:
    queue, pushed = filled(entries)
    gone = data.draw(st.sets(st.sampled_from(pushed))) if pushed else set()
    for entry in gone:
        queue.remove(entry)
        queue.remove(entry)
    assert len(queue) == len(pushed) - len(gone)
    assert set(emptied(queue)) == set(pushed) - gone


def test_an_empty_queue_says_so() -> None:
    queue, _ = filled([("a", True)])
    queue.pop()
    for ask in (queue.pop, queue.peek):
        with pytest.raises(IndexError):
            ask()
