"""Tells plugins about finished requests, from one background thread, through a bounded queue."""

from __future__ import annotations

import logging
import queue
import threading

import pluggy

from open_speech_core.types import Event

log = logging.getLogger(__name__)

QUEUE_EVENTS = 1000


class Observers:
    """Drops events when observers are too slow, and counts them. It cannot fail a request."""

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self.dropped = 0
        self._hook = manager.hook.open_speech_observe
        self._queue: queue.Queue[Event | None] = queue.Queue(QUEUE_EVENTS)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, if any plugin listens."""
        if self._hook.get_hookimpls():
            self._thread = threading.Thread(target=self._run, name="observers", daemon=True)
            self._thread.start()

    def tell(self, event: Event) -> None:
        """Hand an event over; never waits."""
        if self._thread is None:
            return
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self.dropped += 1

    def stop(self) -> None:
        """Deliver what is queued and end the thread, within two seconds."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(2)

    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            try:
                self._hook(event=event)
            except Exception:  # fence: background task
                log.exception("an observer failed")
