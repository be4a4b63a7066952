"""The frames between the server and a worker: length-prefixed msgpack of tagged Structs.

============  =========  ==========================================================================
frame         from       meaning
============  =========  ==========================================================================
hello         worker     first frame; another protocol major is refused by the server
describe      server     say what the plugin's providers are (items, then done)
load          server     make the engine (progress, then ready or failed)
download      server     fetch weights (progress, an item of artifacts, then done or failed)
call          server     run a generator call; one credit lets out one item
open          server     open a session (done or failed)
feed, flush   server     give samples, or ask for the tail: items, then done. Lock-step: no credits
credit        server     let out more items of a call
cancel        server     stop a call at its next step (failed with ``cancelled``)
close         server     close a session; without a call, end the worker
ping          server     answered by pong from the reading thread, whatever the engine does
item          worker     one item of a call or session
progress      worker     work goes on
done, failed  worker     the end of a call, or of one feed or flush
log           worker     a line for the operator
============  =========  ==========================================================================
"""

from __future__ import annotations

import struct
from typing import Annotated, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from open_speech_core.errors import ErrorInfo, ProtocolError
from open_speech_core.types import Config, EngineSpec, Item, Loaded, Request

PROTOCOL_VERSION = (1, 0)
MAX_FRAME_BYTES = 16 * 1024 * 1024
PREFIX = struct.Struct("<I")

CallId: TypeAlias = Annotated[int, Meta(ge=0)]


class FrameBase(Struct, frozen=True, kw_only=True, tag=str.lower, array_like=True):
    """Frames are arrays on the wire, so fields are only added at the end."""


class Hello(FrameBase, frozen=True, kw_only=True):
    protocol: tuple[int, int]
    api: tuple[int, int]
    pid: int
    python: str


class Describe(FrameBase, frozen=True, kw_only=True):
    call: CallId
    plugin: str
    home: str = ""
    """Folder in which each provider keeps its files in a folder of its name; empty: none are looked for."""


class Load(FrameBase, frozen=True, kw_only=True):
    call: CallId
    engine: EngineSpec
    test: bool = False
    """Run the engine's self-test too: an install is judged by it."""


class Download(FrameBase, frozen=True, kw_only=True):
    call: CallId
    engine: EngineSpec


class Call(FrameBase, frozen=True, kw_only=True):
    call: CallId
    request: Request
    credit: int = 4


class Open(FrameBase, frozen=True, kw_only=True):
    call: CallId
    config: Config


class Feed(FrameBase, frozen=True, kw_only=True):
    call: CallId
    data: bytes
    """Little-endian float32 mono."""
    rate: int


class Flush(FrameBase, frozen=True, kw_only=True):
    call: CallId


class Credit(FrameBase, frozen=True, kw_only=True):
    call: CallId
    items: int


class Cancel(FrameBase, frozen=True, kw_only=True):
    call: CallId


class Close(FrameBase, frozen=True, kw_only=True):
    call: CallId | None = None


class Ping(FrameBase, frozen=True, kw_only=True):
    number: int


class Ready(FrameBase, frozen=True, kw_only=True):
    call: CallId
    loaded: Loaded


class ItemFrame(FrameBase, frozen=True, kw_only=True, tag="item"):
    call: CallId
    item: Item
    engine_ms: float = 0.0
    """Time spent inside the engine's own steps so far."""


class Progress(FrameBase, frozen=True, kw_only=True):
    call: CallId
    done: float
    total: float


class Done(FrameBase, frozen=True, kw_only=True):
    call: CallId
    engine_ms: float = 0.0
    """Time spent inside the engine's own steps."""
    step_ms: float = 0.0
    """The longest of these steps."""


class Failed(FrameBase, frozen=True, kw_only=True):
    call: CallId
    error: ErrorInfo
    engine_ms: float = 0.0


class Pong(FrameBase, frozen=True, kw_only=True):
    number: int


class Log(FrameBase, frozen=True, kw_only=True):
    level: int
    logger: str
    message: str


ToWorker: TypeAlias = Describe | Load | Download | Call | Open | Feed | Flush | Credit | Cancel | Close | Ping
FromWorker: TypeAlias = Hello | Ready | ItemFrame | Progress | Done | Failed | Pong | Log

FrameT = TypeVar("FrameT")

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def encode(frame: ToWorker | FromWorker) -> bytes:
    """Give a frame with its length prefix.

    Raises:
        ProtocolError: the frame is larger than ``MAX_FRAME_BYTES``.
    """
    buffer = bytearray(PREFIX.size)
    _encoder.encode_into(frame, buffer, PREFIX.size)
    size = len(buffer) - PREFIX.size
    if size > MAX_FRAME_BYTES:
        raise ProtocolError(f"a {type(frame).__name__} frame of {size} bytes is over {MAX_FRAME_BYTES}")
    PREFIX.pack_into(buffer, 0, size)
    return bytes(buffer)


def decode_to_worker(payload: bytes | memoryview) -> ToWorker:
    """Read a frame the server sent. Raises ``ProtocolError``."""
    return _decode(_to_worker, payload)


def decode_from_worker(payload: bytes | memoryview) -> FromWorker:
    """Read a frame a worker sent. Raises ``ProtocolError``."""
    return _decode(_from_worker, payload)


def _decode(decoder: msgspec.msgpack.Decoder[FrameT], payload: bytes | memoryview) -> FrameT:
    try:
        return decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProtocolError(f"a frame could not be read: {error}") from error


def frame_size(prefix: bytes) -> int:
    """Read a length prefix. Raises ``ProtocolError`` when it is over the limit."""
    (size,) = PREFIX.unpack(prefix)
    if size > MAX_FRAME_BYTES:
        raise ProtocolError(f"a frame announces {size} bytes, over {MAX_FRAME_BYTES}")
    return int(size)
