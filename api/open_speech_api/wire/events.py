"""Server-sent events as OpenAI's clients read them: one ``data:`` line each, the type inside the JSON."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from .errors import Envelope, ErrorBody

CONTENT_TYPE = "text/event-stream"
"""Exactly this, without a charset: clients compare it."""

DONE = b"data: [DONE]\n\n"
"""Ends a stream that went well; after it the body ends."""


def event(payload: Struct) -> bytes:
    """Frame one event."""
    return b"data: " + msgspec.json.encode(payload) + b"\n\n"


def error_event(error: ErrorBody) -> bytes:
    """Frame a failure after the first byte; no ``DONE`` follows it."""
    return event(Envelope(error=error))
