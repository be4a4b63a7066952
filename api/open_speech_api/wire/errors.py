"""The body of every answer that is not a success."""

from __future__ import annotations

from msgspec import Struct


class ErrorBody(Struct, frozen=True, kw_only=True):
    """What OpenAI's clients read; all four keys are always present."""

    message: str
    type: str
    """``invalid_request_error``, ``authentication_error``, ``rate_limit_error`` or ``server_error``."""
    param: str | None = None
    """The field at fault, as the client sent it."""
    code: str | None = None
    """Stable word for programs."""


class Envelope(Struct, frozen=True, kw_only=True):
    """The error object as a whole body, and as the last event of a stream that failed."""

    error: ErrorBody
