"""What echo offers. The server imports this module, so nothing here needs numpy."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from open_speech_core.providers import Detector, Diarizer, Processor, Synthesizer, Transcriber
from open_speech_core.types import Capabilities, LoadSpec, Model, ProviderInfo, Voice

from .options import CallOptions, EchoOptions, GainOptions, TranscribeOptions

if TYPE_CHECKING:
    from . import engine

RATE = 16_000
"""Rate in Hz of the audio that echo takes."""
INFO = ProviderInfo(name="echo", title="Echo", licence="MIT", env_prefix="ECHO_")


class EchoTranscriber(Transcriber[EchoOptions]):
    info = INFO
    capabilities = Capabilities(weight="light", streaming=True, word_timestamps=True, translation=True)
    Options = EchoOptions
    RequestOptions = TranscribeOptions

    def models(self) -> tuple[Model, ...]:
        return (
            Model(id="echo", kind=self.kind, rate=RATE, title="Echo", translates=True),
            Model(id="echo-slow", kind=self.kind, rate=RATE, title="Slow echo", languages=("en",)),
        )

    def load(self, spec: LoadSpec) -> engine.EchoTranscriberEngine:
        from .engine import EchoTranscriberEngine

        return EchoTranscriberEngine(self.options, slow=spec.model.id == "echo-slow")


class EchoSynthesizer(Synthesizer[EchoOptions]):
    info = INFO
    capabilities = Capabilities(weight="light", streaming=True, speed_control=True)
    Options = EchoOptions
    RequestOptions = CallOptions
    openai_voices = MappingProxyType({"alloy": "sine", "echo": "square", "nova": "high"})

    def models(self) -> tuple[Model, ...]:
        return (Model(id="echo-voice", kind=self.kind, rate=self.options.rate, title="Echo's voice"),)

    def voices(self, model: Model) -> tuple[Voice, ...]:
        return (
            Voice(id="sine", name="Sine", description="440 Hz"),
            Voice(id="square", name="Square", description="220 Hz"),
            Voice(id="high", name="High", language="en-gb", description="880 Hz"),
        )

    def load(self, spec: LoadSpec) -> engine.EchoSynthesizerEngine:
        from .engine import EchoSynthesizerEngine

        return EchoSynthesizerEngine(self.options)


class EchoDetector(Detector[EchoOptions]):
    info = INFO
    capabilities = Capabilities(weight="light", streaming=True)
    Options = EchoOptions

    def models(self) -> tuple[Model, ...]:
        return (Model(id="echo-detector", kind=self.kind, rate=RATE, title="Energy", span_s=None),)

    def load(self, spec: LoadSpec) -> engine.EchoDetectorEngine:
        from .engine import EchoDetectorEngine

        return EchoDetectorEngine(self.options)


class EchoDiarizer(Diarizer[EchoOptions]):
    info = INFO
    capabilities = Capabilities(weight="light", streaming=True)
    Options = EchoOptions
    RequestOptions = CallOptions

    def models(self) -> tuple[Model, ...]:
        return (Model(id="echo-turns", kind=self.kind, rate=RATE, title="Turns", span_s=None),)

    def load(self, spec: LoadSpec) -> engine.EchoDiarizerEngine:
        from .engine import EchoDiarizerEngine

        return EchoDiarizerEngine(self.options)


class EchoProcessor(Processor[EchoOptions]):
    info = INFO
    capabilities = Capabilities(weight="light", streaming=True)
    Options = EchoOptions
    RequestOptions = GainOptions

    def models(self) -> tuple[Model, ...]:
        return (Model(id="echo-gain", kind=self.kind, rate=RATE, title="Gain", span_s=None),)

    def load(self, spec: LoadSpec) -> engine.EchoProcessorEngine:
        from .engine import EchoProcessorEngine

        return EchoProcessorEngine(self.options)
