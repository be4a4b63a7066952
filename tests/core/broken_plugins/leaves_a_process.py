"""Starts a process when it loads, and never ends it."""

from __future__ import annotations

import subprocess
from typing import Any

from open_speech_core.hookspecs import hookimpl
from open_speech_echo.provider import EchoTranscriber

from .parts import plain


def load(self: Any, spec: Any) -> Any:
    subprocess.Popen(["sleep", "20"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return EchoTranscriber.load(self, spec)


Broken = plain(EchoTranscriber, load=load)


@hookimpl
def open_speech_register_transcribers() -> list[type[Any]]:
    return [Broken]
