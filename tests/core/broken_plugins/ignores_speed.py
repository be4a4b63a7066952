"""Says it has a speed, and has not."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from open_speech_core.hookspecs import hookimpl
from open_speech_echo.provider import EchoSynthesizer

from .parts import plain


def load(self: Any, spec: Any) -> Any:
    engine = EchoSynthesizer.load(self, spec)
    whole = engine.synthesize
    engine.synthesize = lambda request, context: whole(replace(request, speed=1.0), context)  # type: ignore[method-assign]
    return engine


Broken = plain(EchoSynthesizer, load=load)


@hookimpl
def open_speech_register_synthesizers() -> list[type[Any]]:
    return [Broken]
