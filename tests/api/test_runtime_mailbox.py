"""Boxes of calls: what is abandoned is settled when its call ends, also when the end lay there unread."""

from __future__ import annotations

import asyncio

import pytest

from open_speech_api.runtime.mailbox import Mailboxes
from open_speech_core.errors import ErrorInfo, OpenSpeechError, StepTimeout, WorkerDied
from open_speech_core.types import Segment
from open_speech_core.worker import protocol as p

ITEM = Segment(start=0.0, end=1.0, text="one")


def boxes(killed: list[OpenSpeechError] | None = None) -> Mailboxes:
    return Mailboxes((killed if killed is not None else []).append)


def test_an_abandoned_call_is_settled_by_its_end() -> None:
    mail = boxes()
    box = mail.open()
    assert mail.abandon(box), "it still runs, so it must be cancelled"
    mail.deliver(p.ItemFrame(call=box.call, item=ITEM))
    assert not mail.settled.is_set()
    mail.deliver(p.Failed(call=box.call, error=ErrorInfo(code="cancelled", message="")))
    assert mail.settled.is_set()


@pytest.mark.parametrize("end", [p.Done(call=1), p.Failed(call=1, error=ErrorInfo(code="engine_error", message=""))])
def test_a_call_whose_end_was_not_read_yet_is_settled_at_once(end: p.Done | p.Failed) -> None:
    mail = boxes()
    box = mail.open()
    mail.deliver(p.ItemFrame(call=box.call, item=ITEM))
    mail.deliver(end)
    assert not mail.abandon(box), "nothing runs any more"
    assert mail.settled.is_set()


def test_the_end_of_the_worker_reaches_everyone_and_tells_who_was_beside() -> None:
    async def run() -> list[OpenSpeechError]:
        mail = boxes()
        opened = [mail.open(), mail.open()]
        mail.end(WorkerDied("gone"))
        found: list[OpenSpeechError] = []
        for box in opened:
            with pytest.raises(WorkerDied) as caught:
                await mail.next(box, 1, "a step")
            found.append(caught.value)
        assert mail.settled.is_set()
        return found

    first, second = asyncio.run(run())
    assert first is not second
    assert isinstance(first, WorkerDied)
    assert first.beside


def test_silence_kills_the_worker() -> None:
    killed: list[OpenSpeechError] = []

    async def run() -> None:
        mail = boxes(killed)
        await mail.next(mail.open(), 0.01, "the engine's step")

    with pytest.raises(StepTimeout, match="showed no progress"):
        asyncio.run(run())
    assert len(killed) == 1
