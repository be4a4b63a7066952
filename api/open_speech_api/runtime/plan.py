"""Checked requests: every error that needs no audio has been raised when a plan exists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from open_speech_core.errors import FeatureNotSupported, InvalidRequest
from open_speech_core.options import decode_request_options, ignored_fields
from open_speech_core.registry import Registry, Resolved
from open_speech_core.types import EncodeConfig, EngineSpec, Task

from .effects import Effects
from .target import Target
from .text import pieces

AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
SPEECH_RATE = 24_000
"""Rate of speech answers unless asked otherwise; what OpenAI sends."""


class Cutting(Struct, frozen=True, kw_only=True):
    """How a recording is cut into spans."""

    detector: EngineSpec | None
    before: Effects = Effects()
    """What is done to the samples before anything hears them."""
    threshold: float
    min_speech_ms: int
    min_silence_ms: int
    prefix_ms: int = 400
    """Kept before speech."""
    max_audio_s: float


class TranscriptionPlan(Struct, frozen=True, kw_only=True):
    """One recording to one model."""

    resolved: Resolved
    target: Target
    cutting: Cutting
    task: Task
    language: str | None
    languages: tuple[str, ...]
    """What may be detected, each span for itself; empty: any, and the first span decides for all."""
    keywords: tuple[str, ...]
    prompt: str | None
    temperature: float | None
    word_timestamps: bool
    logprobs: bool
    options: Any
    ignored: tuple[str, ...]
    """Sent fields that only other providers know."""


class Cloning(Struct, frozen=True, kw_only=True):
    """A recording whose voice is to speak."""

    path: Path
    """The recording, in a folder of the request's own; its format is found from its bytes."""
    text: str | None
    """What is said in it."""
    param: str
    """The request's field that brought it."""


class SpeechPlan(Struct, frozen=True, kw_only=True):
    """One text to one voice."""

    resolved: Resolved
    target: Target
    pieces: tuple[str, ...]
    voice: str
    language: str | None
    speed: float
    instructions: str | None
    cloning: Cloning | None
    seed: int | None
    format: AudioFormat
    rate: int
    streamed: bool
    options: Any
    effects: Effects
    ignored: tuple[str, ...]

    @property
    def encoding(self) -> EncodeConfig:
        """Say how the answer is made of samples."""
        return EncodeConfig(
            format=self.format,
            rate=self.rate,
            streamed=self.streamed,
            processors=self.effects.specs,
            processor_options=self.effects.options,
        )


class Asked(Struct, frozen=True, kw_only=True):
    """What a caller wants of a transcription, free of its form on the wire."""

    model: str | None
    task: Task = "transcribe"
    language: str | None = None
    languages: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    prompt: str | None = None
    temperature: float | None = None
    word_timestamps: bool = False
    logprobs: bool = False


def check_transcription(resolved: Resolved, asked: Asked) -> None:
    """Raise what this model cannot do: ``FeatureNotSupported`` or ``InvalidRequest``."""
    model = resolved.model
    if asked.task == "translate" and not model.translates:
        raise FeatureNotSupported(
            f"model {model.id!r} cannot translate; use a multilingual model that can", param="model"
        )
    for param, wanted in (("language", (asked.language,)), ("languages", asked.languages)):
        if model.languages and any(wanted) and not set(wanted) & set(model.languages):
            raise InvalidRequest(
                f"model {model.id!r} does not know {param} {', '.join(map(repr, wanted))}; "
                f"it knows {', '.join(model.languages[:20])}",
                param=param,
            )


def check_speech(resolved: Resolved, *, speed: float) -> None:
    """Raise ``FeatureNotSupported`` for what this model cannot do."""
    if speed != 1.0 and not resolved.provider.capabilities.speed_control:
        raise FeatureNotSupported(f"model {resolved.id!r} cannot change speed", param="speed")


def takes_instructions(resolved: Resolved) -> bool:
    """Say whether instructions reach the model."""
    own = resolved.model.instructions
    return resolved.provider.capabilities.instructions if own is None else own


def request_options(
    registry: Registry, resolved: Resolved, fields: Mapping[str, Any], *, strict: bool
) -> tuple[Any, tuple[str, ...]]:
    """Read the chosen provider's own fields, and name those that only other providers know."""
    own = resolved.provider.RequestOptions
    others = [
        provider.RequestOptions
        for _, provider in registry.of_kind(resolved.model.kind)
        if provider is not resolved.provider
    ]
    options = decode_request_options(own, fields, strict=strict)
    return options, tuple(ignored_fields(own, others, fields))


def split_text(text: str, language: str | None) -> tuple[str, ...]:
    """Cut a text into the pieces that are spoken."""
    return tuple(pieces(text, (language or "en").partition("-")[0].lower()))
