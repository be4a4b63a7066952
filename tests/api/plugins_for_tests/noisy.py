"""Whisper and Piper as they are, but for what their libraries print from C: to a buffer, and to the descriptor."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_core.types import LoadSpec
from open_speech_piper.provider import PiperSynthesizer
from open_speech_whisper.provider import WhisperTranscriber


def print_from_c() -> None:
    """Print what would be no frame, more than a pipe holds."""
    libc = ctypes.CDLL(None)
    for _ in range(2000):
        libc.puts(b"\xff" * 80)
    libc.fflush(None)
    os.write(1, b"\xff\xff\xff\xff" * 50_000)


def printing(method: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    def items(*arguments: Any) -> Iterator[Any]:
        print_from_c()
        for item in method(*arguments):
            yield item
            print_from_c()

    return items


class NoisyWhisper(WhisperTranscriber):
    def load(self, spec: LoadSpec) -> Any:
        print_from_c()
        engine: Any = super().load(spec)
        engine.transcribe = printing(engine.transcribe)
        return engine


class NoisyPiper(PiperSynthesizer):
    def load(self, spec: LoadSpec) -> Any:
        print_from_c()
        engine: Any = super().load(spec)
        engine.synthesize = printing(engine.synthesize)
        return engine


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [NoisyWhisper]


@hookimpl
def open_speech_register_synthesizers() -> list[type[Any]]:
    return [NoisyPiper]
