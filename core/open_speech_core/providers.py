"""What a plugin implements: providers, the engines they load and the sessions those open.

A *provider* is cheap: the server imports and asks it without loading anything. An *engine* is one loaded
model on one device; its calls block and run on threads of a worker. A *session* is one caller's state.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from msgspec import Struct

from .errors import Cancelled, FeatureNotSupported, VoiceNotFound
from .types import (
    API_VERSION,
    Activity,
    Artifacts,
    Audio,
    Capabilities,
    DiarizeRequest,
    Float32,
    Info,
    Kind,
    LoadSpec,
    Model,
    ProviderInfo,
    Segment,
    SessionConfig,
    SpeakerTurn,
    SynthesizeRequest,
    Timing,
    TranscribeRequest,
    Voice,
)


class NoOptions(Struct, frozen=True, kw_only=True):
    """A provider without options."""


class Context:
    """What a blocking call sees of its caller; made by the worker, one a call."""

    def __init__(
        self,
        *,
        progress: Callable[[float, float], None] | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.cancelled = threading.Event()
        """Set when the caller has left; look at it between steps of long work."""
        self._progress = progress
        self._log = log
        self._leaving = threading.Lock()
        self._acts: list[Callable[[], None]] = []

    def progress(self, done: float, total: float) -> None:
        """Say that work goes on; keeps the watchdog quiet."""
        if self._progress is not None:
            self._progress(done, total)

    def log(self, message: str) -> None:
        """Tell the operator something; never what a user said."""
        if self._log is not None:
            self._log(message)

    def check(self) -> None:
        """Raise ``Cancelled`` once the caller has left."""
        if self.cancelled.is_set():
            raise Cancelled("the caller has left")

    def cancel(self) -> None:
        """Say that the caller has left. Any thread."""
        with self._leaving:
            self.cancelled.set()
            for act in self._acts:
                act()

    @contextmanager
    def on_cancel(self, act: Callable[[], None]) -> Iterator[None]:
        """Call ``act`` once the caller leaves, if that is within the block, at once if they have left.

        For a library that can be stopped within its work from another thread; ``act`` runs there and must not wait.
        """
        with self._leaving:
            self._acts.append(act)
            if self.cancelled.is_set():
                act()
        try:
            yield
        finally:
            with self._leaving:
                self._acts.remove(act)


class Engine(ABC):
    """One loaded model on one device. Calls block; ``close`` is called once, after the last of them."""

    max_concurrency: int = 1
    """Calls or sessions it can take at once, from different threads."""
    device: str = "cpu"
    """Where it runs, as found at load."""
    compute_type: str = ""

    @property
    def cancel_s(self) -> float | None:
        """The promise of ``Capabilities.cancel_s`` where it depends on the model and the machine; None is as there."""
        return None

    def warm_up(self) -> None:
        """Run one silent step, so that the first caller does not pay for it. Called once after load."""

    def self_test(self) -> None:
        """Raise if the engine does not work; used after an install. Default: ``warm_up``."""
        self.warm_up()

    def close(self) -> None:
        """Free what it holds."""


class TranscriberEngine(Engine):
    @abstractmethod
    def transcribe(self, request: TranscribeRequest, context: Context) -> Iterator[Info | Segment]:
        """Yield one ``Info``, then segments as they are decoded, times from the start of the span."""


class SynthesizerEngine(Engine):
    @abstractmethod
    def synthesize(self, request: SynthesizeRequest, context: Context) -> Iterator[Audio | Timing]:
        """Yield audio as it is made, at the model's rate."""


class DiarizerEngine(Engine):
    @abstractmethod
    def diarize(self, request: DiarizeRequest, context: Context) -> Iterator[SpeakerTurn]:
        """Yield turns in order of their start."""


class DetectorEngine(Engine):
    @abstractmethod
    def open(self, config: SessionConfig) -> DetectorSession:
        """Start a caller's stream; ``config.rate`` is the model's."""


class ProcessorEngine(Engine):
    @abstractmethod
    def open(self, config: SessionConfig) -> ProcessorSession:
        """Start a caller's stream at ``config.rate``."""


class DetectorSession(ABC):
    """State of one stream; fed from one thread at a time."""

    @abstractmethod
    def feed(self, samples: Float32) -> Iterable[Activity]:
        """Take any number of samples; remainders are carried over."""

    @abstractmethod
    def flush(self) -> Iterable[Activity]:
        """Give what is left, as if silence followed."""

    def close(self) -> None:
        """Free what it holds."""


class ProcessorSession(ABC):
    """State of one stream; the samples that come out have the rate of those that went in."""

    @abstractmethod
    def feed(self, samples: Float32) -> Iterable[Float32]:
        """Take any number of samples, give what is ready."""

    @abstractmethod
    def flush(self) -> Iterable[Float32]:
        """Give the tail."""

    def close(self) -> None:
        """Free what it holds."""


OptionsT = TypeVar("OptionsT", bound=Struct)


class Provider(ABC, Generic[OptionsT]):
    """A source of models and voices. Cheap to import and to ask: no model library before ``load``.

    The host makes one of each registered class: options from the environment, ``home`` the folder in which
    it may keep files.
    """

    api: tuple[int, int] = API_VERSION
    kind: Kind
    info: ProviderInfo
    capabilities: Capabilities = Capabilities()
    Options: type[Struct] = NoOptions
    """Filled from the environment: ``env_prefix`` + field name, then the name in the field's ``extra["env"]``."""
    RequestOptions: type[Struct] = NoOptions
    """Extra top-level request fields: str, int, float, bool, Literal, bounds, Optional and lists of these."""
    openai_voices: Mapping[str, str] = MappingProxyType({})
    """OpenAI's voice names to voices of this provider; names not here are spread over the model's voices."""

    aliases: Mapping[str, str] = MappingProxyType({})
    """Short names to ids of this provider's models; ``{field}`` in an id stands for the option's value."""

    def __init__(self, options: OptionsT, home: Path) -> None:
        self.options = options
        self.home = home

    @abstractmethod
    def models(self) -> Iterable[Model]:
        """List the models worth showing."""

    def resolve(self, id: str) -> Model | None:
        """Claim an id that is not listed: a hub repository, a folder. Cheap, no network."""
        return None

    def local(self) -> Iterable[Model]:
        """List models on this machine that ``models`` does not. Cheap: looks at folders, opens no file."""
        return ()

    def voices(self, model: Model) -> tuple[Voice, ...]:
        """List the voices of a synthesizer's model, the default first."""
        return ()

    def check_voice(self, model: Model, voice: str) -> None:
        """Raise ``VoiceNotFound`` unless the voice (or blend) can be spoken. Needs no engine.

        A blend is ``FeatureNotSupported`` where the capabilities have none.
        """
        known = [each.id for each in self.voices(model)]
        if voice not in known:
            if "+" in voice and not self.capabilities.voice_blend:
                raise FeatureNotSupported(f"model {model.id!r} cannot blend voices; name one of them", param="voice")
            has = f"; it has {', '.join(known[:20])}" if known else ""
            raise VoiceNotFound(f"model {model.id!r} has no voice {voice[:100]!r}{has}", param="voice")

    def artifacts(self, model: Model) -> Artifacts:
        """Say which files of this model are on disk. Default: it needs none."""
        return Artifacts(complete=True)

    def download(self, model: Model, context: Context) -> None:
        """Fetch the weights. Runs in a worker. Raise ``DownloadFailed``."""
        raise FeatureNotSupported(f"{self.info.title} cannot download {model.id!r}")

    @abstractmethod
    def load(self, spec: LoadSpec) -> Engine:
        """Load; heavy imports belong here. Runs in a worker. Raise ``LoadFailed``."""


class Transcriber(Provider[OptionsT]):
    kind = "transcriber"

    @abstractmethod
    def load(self, spec: LoadSpec) -> TranscriberEngine: ...


class Synthesizer(Provider[OptionsT]):
    kind = "synthesizer"

    @abstractmethod
    def voices(self, model: Model) -> tuple[Voice, ...]:
        """List the model's voices, the default first."""

    @abstractmethod
    def load(self, spec: LoadSpec) -> SynthesizerEngine: ...


class Detector(Provider[OptionsT]):
    kind = "detector"

    @abstractmethod
    def load(self, spec: LoadSpec) -> DetectorEngine: ...


class Diarizer(Provider[OptionsT]):
    kind = "diarizer"

    @abstractmethod
    def load(self, spec: LoadSpec) -> DiarizerEngine: ...


class Processor(Provider[OptionsT]):
    kind = "processor"

    @abstractmethod
    def load(self, spec: LoadSpec) -> ProcessorEngine: ...


AnyProvider = Provider[Any]
