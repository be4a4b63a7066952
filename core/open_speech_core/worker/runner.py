"""Runs one engine for a server: takes frames, gives frames, whatever carries them.

``Runner`` has no input or output of its own, so that the same code runs in a worker process and inline on
threads of the server. ``take`` never waits for an engine; engine work happens on the runner's threads.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from open_speech_core.audio import to_wire, view
from open_speech_core.errors import (
    Cancelled,
    EngineError,
    ErrorInfo,
    FeatureNotSupported,
    LoadFailed,
    OpenSpeechError,
)
from open_speech_core.providers import Context, Engine
from open_speech_core.types import (
    API_VERSION,
    Audio,
    DecodeRequest,
    DiarizeRequest,
    Item,
    Loaded,
    Request,
    SynthesizeRequest,
    TranscribeRequest,
)

from . import protocol as p
from .engines import Made, describe, make_provider

log = logging.getLogger(__name__)

Send = Callable[[p.FromWorker], None]


class _Credits:
    """Items a call may still send; the runner waits here when the reader is slow."""

    def __init__(self, items: int, context: Context) -> None:
        self._items = items
        self._context = context
        self._change = threading.Condition()

    def add(self, items: int) -> None:
        with self._change:
            self._items += items
            self._change.notify()

    def cancel(self) -> None:
        self._context.cancel()
        with self._change:
            self._change.notify()

    def take(self) -> None:
        """Wait for a credit. Raises ``Cancelled``."""
        with self._change:
            while self._items <= 0 and not self._context.cancelled.is_set():
                self._change.wait()
            self._context.check()
            self._items -= 1


class Runner:
    """One engine and the calls and sessions on it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._made: Made | None = None
        self._engine: Engine | None = None
        self._calls: dict[int, _Credits] = {}
        self._sessions: dict[int, _Session] = {}
        self._threads = ThreadPoolExecutor(1, "engine")

    def hello(self) -> p.Hello:
        return p.Hello(protocol=p.PROTOCOL_VERSION, api=API_VERSION, pid=os.getpid(), python=platform.python_version())

    def take(self, frame: p.ToWorker) -> bool:
        """Act on a frame, at once or by handing it to a thread. False when the worker is to end."""
        match frame:
            case p.Credit(call=call, items=items):
                if credits := self._calls.get(call):
                    credits.add(items)
            case p.Cancel(call=call):
                if credits := self._calls.get(call):
                    credits.cancel()
            case p.Ping(number=number):
                self._send(p.Pong(number=number))
            case p.Close(call=None):
                return False
            case p.Close(call=call):
                if call is not None and (session := self._sessions.pop(call, None)):
                    session.submit(session.close)
            case p.Call(call=call, request=request, credit=credit):
                context = self._context(call)
                self._calls[call] = credits = _Credits(credit, context)
                self._threads.submit(self._run_call, call, request, context, credits)
            case p.Open(call=call):
                self._sessions[call] = session = _Session(self._threads)
                session.submit(self._open, frame, session)
            case p.Feed(call=call) | p.Flush(call=call):
                if session := self._sessions.get(call):
                    session.submit(self._step, frame, session)
                else:
                    self._fail(call, EngineError("no such session"))
            case p.Load():
                self._threads.submit(self._guard, frame.call, self._load, frame)
            case p.Download():
                context = self._context(frame.call)
                self._calls[frame.call] = _Credits(0, context)
                self._threads.submit(self._guard, frame.call, self._download, frame, context)
            case p.Describe():
                self._threads.submit(self._guard, frame.call, self._describe, frame)
        return True

    def use(self, made: Made, engine: Engine) -> None:
        """Serve an engine that is loaded."""
        self._made, self._engine = made, engine
        if engine.max_concurrency > 1:
            self._threads = ThreadPoolExecutor(engine.max_concurrency, "engine")

    def close(self) -> None:
        """Stop calls at their next step, close the engine; called once, by the carrier."""
        for credits in list(self._calls.values()):
            credits.cancel()
        for session in list(self._sessions.values()):
            session.submit(session.close)
        self._threads.shutdown(wait=True)
        if self._engine is not None:
            self._engine.close()

    def _context(self, call: int) -> Context:
        return Context(
            progress=lambda done, total: self._send(p.Progress(call=call, done=done, total=total)),
            log=lambda message: self._send(p.Log(level=logging.INFO, logger="engine", message=message)),
        )

    # on the engine's threads

    def _guard(self, call: int, work: Callable[..., None], *args: Any) -> None:
        """Run ``work``; whatever it raises becomes a failed frame."""
        try:
            work(*args)
        except BaseException as error:  # fence: engine call
            self._fail(call, error)
        finally:
            self._calls.pop(call, None)

    def _fail(self, call: int, error: BaseException, engine_ms: float = 0.0) -> None:
        self._send(p.Failed(call=call, error=_info(error), engine_ms=engine_ms))

    def _describe(self, frame: p.Describe) -> None:
        for description in describe(frame.plugin, frame.home):
            self._send(p.ItemFrame(call=frame.call, item=description))
        self._send(p.Done(call=frame.call))

    def _load(self, frame: p.Load) -> None:
        made = make_provider(frame.engine)
        try:
            engine = made.load(frame.engine.load)
        except OpenSpeechError:
            raise
        except Exception as error:
            log.exception("load of %s failed", frame.engine.load.model.id)
            raise LoadFailed(
                f"model {frame.engine.load.model.id!r} could not be loaded: {type(error).__name__}"
            ) from error
        self._send(p.Progress(call=frame.call, done=1, total=2))
        engine.warm_up()
        if frame.test:
            _test(engine, frame.engine.load.model.id)
        self.use(made, engine)
        self._send(
            p.Ready(
                call=frame.call,
                loaded=Loaded(
                    device=engine.device,
                    compute_type=engine.compute_type,
                    max_concurrency=engine.max_concurrency,
                    cancel_s=engine.cancel_s,
                ),
            )
        )

    def _download(self, frame: p.Download, context: Context) -> None:
        there = make_provider(frame.engine).download(frame.engine.load.model, context)
        self._send(p.ItemFrame(call=frame.call, item=there))
        self._send(p.Done(call=frame.call))

    def _run_call(self, call: int, request: Request, context: Context, credits: _Credits) -> None:
        clock = _Clock()
        try:
            context.check()
            with _closing(self._items(request, context)) as items:
                while True:
                    with clock:
                        item = next(items, None)
                    if item is None:
                        break
                    context.check()
                    for wire in _wire(item):
                        credits.take()
                        self._send(p.ItemFrame(call=call, item=wire, engine_ms=clock.total_ms))
            self._send(p.Done(call=call, engine_ms=clock.total_ms, step_ms=clock.longest_ms))
        except BaseException as error:  # fence: engine call
            self._fail(call, error, clock.total_ms)
        finally:
            self._calls.pop(call, None)

    def _items(self, request: Request, context: Context) -> Iterator[Any]:
        engine, made = self._engine, self._made
        if engine is None or made is None:
            raise EngineError("no engine is loaded")
        method = getattr(engine, _METHODS[type(request)], None)
        if method is None:
            raise FeatureNotSupported(f"{type(engine).__name__} cannot {_METHODS[type(request)]}")
        return iter(method(made.with_options(request), context))

    def _open(self, frame: p.Open, session: _Session) -> None:
        try:
            if self._engine is None or self._made is None:
                raise EngineError("no engine is loaded")
            session.state = self._engine.open(self._made.with_options(frame.config))  # type: ignore[attr-defined]
            session.rate = frame.config.rate
            self._send(p.Done(call=frame.call))
        except BaseException as error:  # fence: engine call
            self._sessions.pop(frame.call, None)
            self._fail(frame.call, error)

    def _step(self, frame: p.Feed | p.Flush, session: _Session) -> None:
        clock = _Clock()
        try:
            if session.state is None:
                raise EngineError("the session is closed")
            with clock:
                if isinstance(frame, p.Feed):
                    made = session.state.feed(*_fed(session.state, frame))
                else:
                    made = session.state.flush()
                items = list(made)
            for item in items:
                for wire in _wire(item, session.rate):
                    self._send(p.ItemFrame(call=frame.call, item=wire))
            self._send(p.Done(call=frame.call, engine_ms=clock.total_ms, step_ms=clock.longest_ms))
        except BaseException as error:  # fence: engine call
            self._fail(frame.call, error, clock.total_ms)


def _test(engine: Engine, id: str) -> None:
    """Let an engine judge itself; no user's words are in what it says. Raises ``LoadFailed``."""
    try:
        engine.self_test()
    except Exception as error:
        log.exception("self-test of %s", id)
        raise LoadFailed(f"the self-test of {id!r} failed: {type(error).__name__}: {error}") from error


_METHODS: dict[type, str] = {
    TranscribeRequest: "transcribe",
    SynthesizeRequest: "synthesize",
    DiarizeRequest: "diarize",
    DecodeRequest: "decode",
}


class _Session:
    """A caller's state; its steps run one after another, on any of the engine's threads."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.state: Any = None
        self.rate = 0
        self._threads = threads
        self._lock = threading.Lock()

    def submit(self, work: Callable[..., None], *args: Any) -> None:
        self._threads.submit(self._locked, work, args)

    def close(self) -> None:
        state, self.state = self.state, None
        if state is not None:
            state.close()

    def _locked(self, work: Callable[..., None], args: tuple[Any, ...]) -> None:
        with self._lock:
            work(*args)


class _Clock:
    """Sums the time spent inside ``with`` blocks."""

    def __init__(self) -> None:
        self.total_ms = 0.0
        self.longest_ms = 0.0
        self._since = 0.0

    def __enter__(self) -> None:
        self._since = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        spent = (time.perf_counter() - self._since) * 1000
        self.total_ms += spent
        self.longest_ms = max(self.longest_ms, spent)


@contextlib.contextmanager
def _closing(items: Iterator[Any]) -> Iterator[Iterator[Any]]:
    """Close a generator on the thread that ran it; a plain iterator has nothing to close."""
    try:
        yield items
    finally:
        if (close := getattr(items, "close", None)) is not None:
            close()


def _fed(state: Any, frame: p.Feed) -> tuple[Any, ...]:
    """Encoders take a rate beside the samples, since each engine has its own."""
    samples = view(frame.data)
    return (samples, frame.rate) if getattr(state, "takes_rate", False) else (samples,)


def _wire(item: Any, rate: int = 0) -> Iterator[Item]:
    if isinstance(item, Audio):
        yield from to_wire(item)
    elif hasattr(item, "dtype"):
        yield from to_wire(Audio(samples=item, rate=rate))
    else:
        yield item


def _info(error: BaseException) -> ErrorInfo:
    if isinstance(error, Cancelled):
        log.debug("a call was cancelled")
        return error.info()
    if isinstance(error, OpenSpeechError):
        return error.info()
    if isinstance(error, MemoryError):
        return ErrorInfo(code="engine_error", message="the engine ran out of memory")
    # An engine's words may hold a user's: where it failed is for everyone, what it said for debugging.
    frames = traceback.extract_tb(error.__traceback__)
    where = " > ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
    log.error("an engine raised %s at %s", type(error).__name__, where)
    log.debug("it said: %s", error)
    return EngineError(f"the engine failed ({type(error).__name__})").info()
