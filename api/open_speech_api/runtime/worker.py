"""The server's side of one worker: its engine, its calls and sessions, its death."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

from msgspec import Struct

from open_speech_core.errors import LoadFailed, OpenSpeechError, ProtocolError, Unavailable, WorkerDied, from_info
from open_speech_core.types import Artifacts, Config, Description, EngineSpec, Item, Loaded, Request
from open_speech_core.worker import protocol as p

from .links import Link
from .mailbox import Box, Mailboxes

worker_log = logging.getLogger("open_speech.worker")

CREDIT_ITEMS = 4
UNLIMITED_ITEMS = 1 << 31
HELLO_TIMEOUT_S = 60.0


class Limits(Struct, frozen=True, kw_only=True):
    """How long a worker may show no progress."""

    step_s: float = 120.0
    load_s: float = 600.0


class Spent(Struct, kw_only=True):
    """Where a request's time went, in milliseconds; filled while it runs."""

    queue_ms: float = 0.0
    load_ms: float = 0.0
    decode_ms: float = 0.0
    engine_ms: float = 0.0
    diarize_ms: float = 0.0
    """Of the diarizer beside the engine."""
    encode_ms: float = 0.0


class Worker:
    """A runner behind a link, with one engine. Everything here belongs to the event loop."""

    def __init__(self, link: Link, limits: Limits) -> None:
        self.loaded = Loaded()
        self.slowest_step_s = 0.0
        """Of the calls that came to their end."""
        self.alive = False
        self.ending = False
        """True once it was told to end, so that its end is no death."""
        self.gone = asyncio.Event()
        self._link = link
        self._limits = limits
        self._boxes = Mailboxes(self.kill)
        self._error: OpenSpeechError = WorkerDied("the worker that did this ended unexpectedly; try again")
        self._hello: asyncio.Future[p.Hello] = asyncio.get_running_loop().create_future()

    @property
    def pid(self) -> int | None:
        return self._link.pid

    async def start(self) -> None:
        """Start the process and greet it.

        Raises:
            LoadFailed: it cannot be started, does not answer, or speaks another protocol.
            WorkerDied: it ended before it said hello.
        """
        try:
            await self._link.start(self._take, self._end)
        except OSError as error:
            raise LoadFailed(f"a worker could not be started: {error.strerror}") from error
        self.alive = True
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                hello = await self._hello
        except TimeoutError:
            self.kill()
            raise LoadFailed("a worker did not say hello in time") from None
        if hello.protocol[0] != p.PROTOCOL_VERSION[0]:
            self.kill()
            raise LoadFailed(f"the worker speaks protocol {hello.protocol[0]}, not {p.PROTOCOL_VERSION[0]}")

    async def load(self, spec: EngineSpec, *, test: bool = False) -> Loaded:
        """Make the engine, and ``test`` it; progress keeps the watchdog quiet. Raises what the load raised."""
        box = self._open_box()
        self._link.send(p.Load(call=box.call, engine=spec, test=test))
        try:
            while True:
                match await self._boxes.next(box, self._limits.load_s, "loading the model"):
                    case p.Ready(loaded=loaded):
                        self.loaded = loaded
                        return loaded
                    case p.Failed(error=error):
                        raise from_info(error)
                    case _:
                        continue
        finally:
            self._boxes.close(box)

    async def download(self, spec: EngineSpec) -> AsyncGenerator[p.Progress | Artifacts, None]:
        """Fetch a model's weights, giving progress as it comes and in the end what is there."""
        box = self._open_box()
        self._link.send(p.Download(call=box.call, engine=spec))
        try:
            while True:
                match await self._boxes.next(box, self._limits.load_s, "downloading"):
                    case p.Progress() as progress:
                        yield progress
                    case p.ItemFrame(item=Artifacts() as there):
                        yield there
                    case p.Done():
                        return
                    case p.Failed(error=error):
                        raise from_info(error)
                    case _:
                        continue
        finally:
            self._boxes.close(box)

    async def describe(self, plugin: str, home: str = "") -> list[Description]:
        """Ask what a plugin provides in the worker's environment, and which of its files lie below ``home``."""
        box = self._open_box()
        self._link.send(p.Describe(call=box.call, plugin=plugin, home=home))
        found: list[Description] = []
        try:
            while True:
                match await self._boxes.next(box, self._limits.load_s, "describing"):
                    case p.ItemFrame(item=Description() as description):
                        found.append(description)
                    case p.Done():
                        return found
                    case p.Failed(error=error):
                        raise from_info(error)
                    case _:
                        continue
        finally:
            self._boxes.close(box)

    async def call(
        self, request: Request, spent: Spent | None = None, *, credit: int = CREDIT_ITEMS
    ) -> AsyncGenerator[Item, None]:
        """Run a generator call; closing this generator cancels it. ``spent.engine_ms`` grows with it."""
        box = self._open_box()
        self._link.send(p.Call(call=box.call, request=request, credit=credit))
        spent = spent or Spent()
        before_ms = spent.engine_ms
        ended = False
        try:
            while True:
                match await self._boxes.next(box, self._limits.step_s, "the engine's step"):
                    case p.ItemFrame(item=item, engine_ms=engine_ms):
                        spent.engine_ms = before_ms + engine_ms
                        yield item
                        self._link.send(p.Credit(call=box.call, items=1))
                    case p.Done(engine_ms=engine_ms, step_ms=step_ms):
                        ended = True
                        self.slowest_step_s = max(self.slowest_step_s, step_ms / 1000)
                        spent.engine_ms = before_ms + engine_ms
                        return
                    case p.Failed(error=error, engine_ms=engine_ms):
                        ended = True
                        spent.engine_ms = before_ms + engine_ms
                        if error.code == "cancelled":
                            # We cancel by closing, so somebody else ended the engine.
                            raise Unavailable("the model was unloaded while it worked; try again")
                        raise from_info(error)
                    case _:
                        continue
        finally:
            if ended or not self.alive:
                self._boxes.close(box)
            elif self._boxes.abandon(box):
                self._link.send(p.Cancel(call=box.call))

    async def open(self, config: Config) -> WorkerSession:
        """Open a session of the engine."""
        box = self._open_box()
        session = WorkerSession(self._link, self._boxes, box, self._limits)
        self._link.send(p.Open(call=box.call, config=config))
        try:
            await session.settle()
        except BaseException:
            session.close()
            raise
        return session

    def settled(self) -> bool:
        """Say whether every call it was given has ended, cancelled ones included."""
        return self._boxes.settled.is_set()

    async def wait_settled(self) -> None:
        await self._boxes.settled.wait()

    def end(self) -> None:
        """Let it end: its calls are cancelled, the engine closed, the memory back."""
        self.ending = True
        self._link.send(p.Close())

    def kill(self, error: OpenSpeechError | None = None) -> None:
        """End it now; ``error`` is what its callers get."""
        if error is not None:
            self._error = error
        self._link.kill()

    def _open_box(self) -> Box:
        if not self.alive:
            raise self._error
        return self._boxes.open()

    def _take(self, frame: p.FromWorker) -> None:
        match frame:
            case p.Hello():
                if not self._hello.done():
                    self._hello.set_result(frame)
            case p.Log(level=level, logger=logger, message=message):
                worker_log.log(level, "%s: %s", logger, message)
            case p.Pong():
                pass
            case _:
                self._boxes.deliver(frame)

    def _end(self) -> None:
        self.alive = False
        if not self._hello.done():
            self._hello.set_exception(WorkerDied("a worker ended before it said hello"))
            # Nobody may be waiting for it any more.
            self._hello.exception()
        self._boxes.end(self._error)
        self.gone.set()


class WorkerSession:
    """One caller's session of an engine; used by one coroutine at a time."""

    def __init__(self, link: Link, boxes: Mailboxes, box: Box, limits: Limits) -> None:
        self.engine_ms = 0.0
        self._link = link
        self._boxes = boxes
        self._box = box
        self._limits = limits

    async def feed(self, data: bytes, rate: int) -> list[Item]:
        """Feed little-endian float32 mono; give what came of it."""
        self._link.send(p.Feed(call=self._box.call, data=data, rate=rate))
        return await self.settle()

    async def flush(self) -> list[Item]:
        """Give the tail."""
        self._link.send(p.Flush(call=self._box.call))
        return await self.settle()

    def close(self) -> None:
        """End the session; may be called again."""
        if self._boxes.close(self._box):
            self._link.send(p.Close(call=self._box.call))

    async def settle(self) -> list[Item]:
        """Gather items up to the end of one step."""
        items: list[Item] = []
        while True:
            frame = await self._boxes.next(self._box, self._limits.step_s, "the session's step")
            match frame:
                case p.ItemFrame(item=item):
                    items.append(item)
                case p.Done(engine_ms=engine_ms):
                    self.engine_ms += engine_ms
                    return items
                case p.Failed(error=error):
                    raise from_info(error)
                case _:
                    raise ProtocolError(f"a session was sent {type(frame).__name__}")
