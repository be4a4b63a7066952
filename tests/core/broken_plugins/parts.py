"""What the broken plugins are made of: echo, with one thing wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from open_speech_core.types import ProviderInfo
from open_speech_echo.provider import (
    EchoDetector,
    EchoDiarizer,
    EchoProcessor,
    EchoSynthesizer,
    EchoTranscriber,
)

INFO = ProviderInfo(name="broken", title="Broken", licence="MIT", env_prefix="ECHO_")
ECHO: dict[str, type[Any]] = {
    "transcribe": EchoTranscriber,
    "synthesize": EchoSynthesizer,
    "diarize": EchoDiarizer,
}
Change = Callable[..., Iterable[Any]]


def broken_call(method: str, change: Change) -> type[Any]:
    """Make a provider whose engine's items pass through ``change(items, request, context)``."""

    class Broken(ECHO[method]):  # type: ignore[misc]
        info = INFO

        def load(self, spec: Any) -> Any:
            engine = super().load(spec)
            whole = getattr(engine, method)
            setattr(engine, method, lambda request, context: change(whole(request, context), request, context))
            return engine

    return Broken


class Whole:
    """A session as echo's; what is wrong is overridden."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def feed(self, samples: Any) -> Any:
        return self._session.feed(samples)

    def flush(self) -> Any:
        return self._session.flush()

    def close(self) -> None:
        self._session.close()


def broken_session(kind: str, change: Callable[[Any], Any]) -> type[Any]:
    """Make a provider whose engine opens what ``change(session)`` gives."""

    class Broken({"detector": EchoDetector, "processor": EchoProcessor}[kind]):  # type: ignore[misc]
        info = INFO

        def load(self, spec: Any) -> Any:
            engine = super().load(spec)
            whole = engine.open
            engine.open = lambda config: change(whole(config))
            return engine

    return Broken


def plain(base: type[Any], **attributes: Any) -> type[Any]:
    """Make a provider that differs from echo's in ``attributes``."""
    return type("Broken", (base,), {"info": INFO, **attributes})
