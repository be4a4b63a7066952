"""An engine under test: called directly, and through the runner as a server's frames would."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from msgspec import Struct

from open_speech_core.providers import AnyProvider, Context, Engine
from open_speech_core.testing.laws import Ledger
from open_speech_core.types import CANCEL_S, Config, Item, LoadSpec, Model, Request
from open_speech_core.worker import protocol as p
from open_speech_core.worker.engines import PluginProvider
from open_speech_core.worker.runner import Runner

T = TypeVar("T")

PATIENCE_S = 120.0
"""How long one call may take before the check gives up."""
SLACK_S = 0.1
"""What a busy machine may add to a promised time."""
CLOSE_S = 2.0
"""After this a worker that was told to close is ended."""
MANY = 1 << 20


class Answer(Struct, frozen=True, kw_only=True):
    """What the frames of one call said."""

    items: tuple[Item, ...]
    error: str | None
    """Code of the failure; None when it was done."""
    message: str = ""
    step_ms: float = 0.0


class Rig:
    """One loaded engine and a runner over it. Use as a context manager; leaving it checks ``close``."""

    def __init__(self, provider: AnyProvider, model: Model, spec: LoadSpec | None, ledger: Ledger) -> None:
        self.provider = provider
        self.model = model
        self.ledger = ledger
        loaded = ledger.run(
            "loads",
            f"load of {model.id!r}",
            lambda: provider.load(spec or LoadSpec(model=model, home=str(provider.home))),
        )
        assert loaded is not None
        self.engine: Engine = loaded
        ledger.run("warms up", "warm_up", self.engine.warm_up)
        ledger.require("max_concurrency is positive", self.engine.max_concurrency >= 1, "it is below 1")
        self._frames: SimpleQueue[p.FromWorker] = SimpleQueue()
        self._runner = Runner(self._send)
        self._runner.use(PluginProvider(provider), self.engine)
        self._calls = count(1)

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        since = time.monotonic()
        self._runner.close()
        took = time.monotonic() - since
        if kind is None:
            self.ledger.require("closes in time", took <= CLOSE_S, f"close took {took:.1f} s")

    def options(self, **values: Any) -> Any:
        return self.provider.RequestOptions(**values)

    @property
    def promise_s(self) -> float:
        """Seconds within which the engine says it is free after a cancel."""
        return self._declared_s or CANCEL_S

    @property
    def _declared_s(self) -> float | None:
        return self.engine.cancel_s or self.provider.capabilities.cancel_s

    def direct(self, method: Callable[[Any, Context], Iterable[T]], request: Any) -> list[T]:
        """Call an engine's method; its items."""
        items: list[T] = []
        since = time.perf_counter()
        for item in method(request, Context()):
            items.append(item)
            since = self._stepped(since)
        self._stepped(since)
        return items

    def _stepped(self, since: float) -> float:
        """Note a step that began at ``since``; the time now."""
        now = time.perf_counter()
        self.ledger.slowest_step_ms = max(self.ledger.slowest_step_ms, (now - since) * 1000)
        return now

    def at_once(self, work: Callable[[], T]) -> list[T]:
        """Do ``work`` on as many threads as the engine says it takes, two rounds each."""
        threads = self.engine.max_concurrency
        start = threading.Barrier(threads)

        def run() -> list[T]:
            start.wait()
            return [work(), work()]

        with ThreadPoolExecutor(threads) as pool:
            rounds = [pool.submit(run) for _ in range(threads)]
            return [result for each in rounds for result in each.result()]

    def call(self, request: Request) -> Answer:
        """Send a call and read its frames to the end."""
        number = next(self._calls)
        self._take(p.Call(call=number, request=request, credit=MANY))
        answer = self._read(number)
        self.ledger.slowest_step_ms = max(self.ledger.slowest_step_ms, answer.step_ms)
        return answer

    def open(self, config: Config) -> int:
        number = next(self._calls)
        self._take(p.Open(call=number, config=config))
        answer = self._read(number)
        self.ledger.require("opens a session", answer.error is None, answer.message)
        return number

    def feed(self, session: int, data: bytes, rate: int) -> Answer:
        self._take(p.Feed(call=session, data=data, rate=rate))
        return self._kept(self._read(session))

    def flush(self, session: int) -> Answer:
        self._take(p.Flush(call=session))
        return self._kept(self._read(session))

    def close(self, session: int) -> None:
        self._take(p.Close(call=session))

    def check_cancel(self, request: Request) -> None:
        """Cancel early and late inside the first step, then after the first item: the engine must be free in time."""
        step_s = self.call(request).step_ms / 1000
        for after, part in ((0, 0.25), (0, 0.75), (1, 0.25)):
            number = next(self._calls)
            self._take(p.Call(call=number, request=request, credit=MANY))
            self._wait_for_items(number, after)
            time.sleep(step_s * part)
            since = time.monotonic()
            self._take(p.Cancel(call=number))
            answer = self._read(number)
            self._check_free(answer, time.monotonic() - since, step_s)

    def _kept(self, answer: Answer) -> Answer:
        """Compare a session's step with the promise: who closes a session waits for its step."""
        took_s = answer.step_ms / 1000
        self.ledger.slowest_step_ms = max(self.ledger.slowest_step_ms, answer.step_ms)
        said = f"a step took {took_s:.2f} s; it promises {self.promise_s:g} s"
        self.ledger.require("free after a cancel", took_s <= self.promise_s + SLACK_S, said)
        return answer

    def check_promise(self) -> None:
        """Compare what is declared with the slowest step that was seen: others wait behind one that is too generous."""
        self.ledger.promise_s = self.promise_s
        law, promise_s, slowest_s = "promises what it keeps", self._declared_s, self.ledger.slowest_step_ms / 1000
        if promise_s is None:
            return self.ledger.skip(law, f"it declares no cancel_s, so it has {CANCEL_S:g} s")
        said = f"cancel_s is {promise_s:.2f} s, more than twice its slowest step of {slowest_s:.2f} s"
        self.ledger.require(law, promise_s <= 2 * slowest_s, f"{said}; declare less, or none for {CANCEL_S:g} s")

    def _check_free(self, answer: Answer, took_s: float, step_s: float) -> None:
        law = "free after a cancel"
        promise_s = self.promise_s
        self.ledger.slowest_cancel_ms = max(self.ledger.slowest_cancel_ms, took_s * 1000)
        said = f"it took {took_s:.2f} s; it promises {promise_s} s, its slowest step is {step_s:.2f} s"
        self.ledger.require(law, took_s <= promise_s + SLACK_S, said)
        self.ledger.require(law, took_s <= 2 * step_s + SLACK_S, said)
        self.ledger.require(law, answer.error in (None, "cancelled"), f"it raised: {answer.message}")

    def _take(self, frame: p.ToWorker) -> None:
        self._runner.take(p.decode_to_worker(p.encode(frame)[p.PREFIX.size :]))

    def _send(self, frame: p.FromWorker) -> None:
        self._frames.put(p.decode_from_worker(p.encode(frame)[p.PREFIX.size :]))

    def _next(self, call: int) -> p.FromWorker:
        while True:
            try:
                frame = self._frames.get(timeout=PATIENCE_S)
            except Empty:
                self.ledger.require("answers", False, f"nothing came for {PATIENCE_S:.0f} s")
                raise
            if getattr(frame, "call", None) == call:
                return frame

    def _wait_for_items(self, call: int, items: int) -> None:
        seen = 0
        while seen < items:
            frame = self._next(call)
            seen += isinstance(frame, p.ItemFrame)
            if isinstance(frame, p.Done | p.Failed):
                self._frames.put(frame)
                return

    def _read(self, call: int) -> Answer:
        items: list[Item] = []
        while True:
            match self._next(call):
                case p.ItemFrame(item=item):
                    items.append(item)
                case p.Done(step_ms=step_ms):
                    return Answer(items=tuple(items), error=None, step_ms=step_ms)
                case p.Failed(error=error):
                    return Answer(items=tuple(items), error=error.code, message=error.message)
                case _:
                    continue


def unique(values: Iterable[Any]) -> bool:
    """Say whether no value comes twice."""
    listed = list(values)
    return len(listed) == len(set(listed))
