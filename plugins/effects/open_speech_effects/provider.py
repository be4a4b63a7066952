"""The effects and what each can be told; the work is in ``engine``, imported at load."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from open_speech_core.providers import NoOptions, Processor, ProcessorEngine, ProcessorSession
from open_speech_core.types import Capabilities, LoadSpec, Model, ProviderInfo, SessionConfig

RATE = 24_000
"""Any rate is taken; this is what the conformance kit tries."""

Room = Literal["small", "medium", "large"]
Decibels = Annotated[float, Meta(ge=-40, le=20)]
Seconds = Annotated[float, Meta(ge=0, le=10)]


class PitchOptions(Struct, frozen=True, kw_only=True):
    semitones: Annotated[float, Meta(ge=-12, le=12, description="How far up; 12 is an octave.")] = 0.0


class ReverbOptions(Struct, frozen=True, kw_only=True):
    room: Annotated[Room, Meta(description="How large the room is.")] = "small"
    mix: (
        Annotated[
            float, Meta(ge=0, le=1, description="Share of the room in what is heard. Unset: 0.25, 0.4, 0.55 by room.")
        ]
        | None
    ) = None


class HighpassOptions(Struct, frozen=True, kw_only=True):
    hz: Annotated[float, Meta(ge=20, le=2000, description="What is below is taken away.")] = 80.0


class LowpassOptions(Struct, frozen=True, kw_only=True):
    hz: Annotated[float, Meta(ge=500, le=20_000, description="What is above is taken away.")] = 8000.0


class FadeOptions(Struct, frozen=True, kw_only=True):
    fade_in_s: Annotated[Seconds, Meta(description="Seconds until full volume.")] = 0.05
    fade_out_s: Annotated[Seconds, Meta(description="Seconds from full volume to silence.")] = 0.05


class TrimOptions(Struct, frozen=True, kw_only=True):
    threshold_db: Annotated[float, Meta(ge=-80, le=-10, description="What is quieter counts as silence, dBFS.")] = -40.0
    keep_ms: Annotated[float, Meta(ge=0, le=1000, description="Silence that stays on both sides.")] = 40.0


class Effect(Processor[NoOptions]):
    """What the effects have in common."""

    Options = NoOptions
    session: ClassVar[str]
    """Name of the session's class in ``engine``."""
    description: ClassVar[str]

    def models(self) -> tuple[Model, ...]:
        return (
            Model(
                id=self.info.name,
                kind=self.kind,
                rate=RATE,
                title=self.info.title,
                licence=self.info.licence,
                span_s=None,
                description=self.description,
            ),
        )

    def load(self, spec: LoadSpec) -> ProcessorEngine:
        from . import engine

        make: Callable[[SessionConfig], ProcessorSession] = getattr(engine, self.session)
        return engine.EffectEngine(make)


def _info(name: str, title: str) -> ProviderInfo:
    return ProviderInfo(name=name, title=title, licence="MIT", env_prefix="")


STREAMS = Capabilities(weight="light", streaming=True)
HOLDS = Capabilities(weight="light", streaming=False)


class Pitch(Effect):
    info = _info("pitch", "Pitch")
    capabilities = HOLDS
    RequestOptions = PitchOptions
    session = "PitchSession"
    description = "Higher or lower, as long as before. Works on the whole: nothing is heard before all is spoken."


class Reverb(Effect):
    info = _info("reverb", "Reverb")
    capabilities = STREAMS
    RequestOptions = ReverbOptions
    session = "ReverbSession"
    description = "A room: its early reflections and its tail, which is kept."


class PodcastEq(Effect):
    info = _info("podcast_eq", "Podcast equalizer")
    capabilities = STREAMS
    session = "PodcastEqSession"
    description = "Rumble below 80 Hz taken away, 3 dB of presence at 3 kHz, gentle compression."


class Robot(Effect):
    info = _info("robot", "Robot")
    capabilities = STREAMS
    session = "RobotSession"
    description = "Ring modulation at 100 Hz."


class Highpass(Effect):
    info = _info("highpass", "High-pass filter")
    capabilities = STREAMS
    RequestOptions = HighpassOptions
    session = "HighpassSession"
    description = "Takes away what is low."


class Lowpass(Effect):
    info = _info("lowpass", "Low-pass filter")
    capabilities = STREAMS
    RequestOptions = LowpassOptions
    session = "LowpassSession"
    description = "Takes away what is high."


class Fade(Effect):
    info = _info("fade", "Fade")
    capabilities = STREAMS
    RequestOptions = FadeOptions
    session = "FadeSession"
    description = "From silence at the start, to silence at the end."


class Trim(Effect):
    info = _info("trim", "Trim")
    capabilities = STREAMS
    RequestOptions = TrimOptions
    session = "TrimSession"
    description = "Silence at the start and at the end cut off, but for a rest."


EFFECTS: tuple[type[Processor[Any]], ...] = (Pitch, Reverb, PodcastEq, Robot, Highpass, Lowpass, Fade, Trim)
