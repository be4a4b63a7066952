"""What every answer of the two ways carries: where its time went, and which fields were ignored."""

from __future__ import annotations

from collections.abc import Iterable

from open_speech_api.errors import body
from open_speech_api.runtime.worker import Spent
from open_speech_api.wire.events import error_event
from open_speech_core.errors import OpenSpeechError


def headers(content_type: str, spent: Spent, ignored: Iterable[str] = ()) -> dict[str, str]:
    """Give ``Server-Timing`` (milliseconds), ``X-Ignored-Fields`` and the content type.

    As a header the type stays as it is; the framework would add a charset to every ``text/``.
    """
    parts = {
        "queue": spent.queue_ms,
        "load": spent.load_ms,
        "decode": spent.decode_ms,
        "engine": spent.engine_ms,
        "encode": spent.encode_ms,
    }
    if spent.diarize_ms:
        parts["diarize"] = spent.diarize_ms
    found = {
        "content-type": content_type,
        "server-timing": ", ".join(f"{name};dur={ms:.1f}" for name, ms in parts.items()),
    }
    if names := ", ".join(ignored):
        found["x-ignored-fields"] = names
    return found


def failure(error: OpenSpeechError) -> bytes:
    """Give the last event of a stream that failed after its first."""
    return error_event(body(error))
