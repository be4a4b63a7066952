"""What echo can be told: by the environment when it is made, and by a request."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

Fault: TypeAlias = Literal["raise", "exit", "segfault", "hang", "freeze", "print"]


class EchoOptions(Struct, frozen=True, kw_only=True):
    """From the environment, as ``ECHO_RATE`` and so on."""

    rate: Annotated[int, Meta(ge=8000, le=48_000)] = 24_000
    """Rate of the voice in Hz."""
    max_concurrency: Annotated[int, Meta(ge=1)] = 1
    load_delay_s: Annotated[float, Meta(ge=0)] = 0.0
    load_fail: Fault | None = None


class CallOptions(Struct, frozen=True, kw_only=True):
    """Request fields of every call."""

    step_ms: Annotated[float, Meta(ge=0, le=86_400_000)] = 0.0
    """Each step takes so long and sees no cancel meanwhile."""
    fail: Fault | None = None
    fail_at: Annotated[int, Meta(ge=0)] = 0
    """Number of the item before which it fails; never, when there are fewer."""


class TranscribeOptions(CallOptions, frozen=True, kw_only=True):
    echo_text: str | None = None
    """The transcript, in one segment."""
    echo_request: bool = False
    """The transcript is what the engine received, as JSON."""


class GainOptions(Struct, frozen=True, kw_only=True):
    gain_db: Annotated[float, Meta(ge=-60, le=24)] = 6.0
