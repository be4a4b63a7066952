"""The voice: what the server asks. It imports this module, so nothing here needs numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from open_speech_core.errors import LoadFailed
from open_speech_core.providers import Synthesizer
from open_speech_core.types import Capabilities, LoadSpec, Model, ProviderInfo, Voice

if TYPE_CHECKING:
    from .speaking import MorseSpeaker

RATE = 16_000
PITCHES = {"low": 440.0, "high": 880.0}
INFO = ProviderInfo(name="morse", title="Morse", licence="MIT", env_prefix="MORSE_")


class MorseOptions(Struct, frozen=True, kw_only=True):
    """Read from the environment: MORSE_UNIT_MS."""

    unit_ms: Annotated[float, Meta(ge=20, le=1000, description="Length of a dot.")] = 60.0


class MorseFields(Struct, frozen=True, kw_only=True):
    """Fields a request may have beside OpenAI's."""

    pitch_hz: Annotated[float, Meta(ge=100, le=4000, description="Pitch of the tone.")] | None = None


class MorseSynthesizer(Synthesizer[MorseOptions]):
    info = INFO
    capabilities = Capabilities(streaming=True, speed_control=True)
    Options = MorseOptions
    RequestOptions = MorseFields

    def models(self) -> tuple[Model, ...]:
        return (Model(id="morse-key", kind="synthesizer", rate=RATE, title="Morse key"),)

    def voices(self, model: Model) -> tuple[Voice, ...]:
        return tuple(Voice(id=id, name=id.title(), description=f"{hz:.0f} Hz") for id, hz in PITCHES.items())

    def load(self, spec: LoadSpec) -> MorseSpeaker:
        from .speaking import MorseSpeaker

        if spec.device.startswith("cuda"):
            raise LoadFailed(f"Morse runs on the CPU, not on {spec.device!r}")
        return MorseSpeaker(self.options)
