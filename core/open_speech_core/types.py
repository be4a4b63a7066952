"""The Structs of the contract: the plugin API, the worker protocol and the source of the OpenAPI schema.

Fields are only ever added, with defaults. Times are seconds as float, sample counts are frames of one
mono channel, rates are Hz. This module imports no numpy: the server process reads it at start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from msgspec import Struct, field

if TYPE_CHECKING:
    import numpy as np

    Float32: TypeAlias = np.ndarray[tuple[int], np.dtype[np.float32]]
else:
    Float32 = Any

API_VERSION = (1, 0)
"""Version of the contract. A plugin of another major is skipped with a message."""

Kind: TypeAlias = Literal["transcriber", "synthesizer", "detector", "diarizer", "processor"]
KINDS: tuple[Kind, ...] = ("transcriber", "synthesizer", "detector", "diarizer", "processor")
Weight: TypeAlias = Literal["light", "heavy"]
Task: TypeAlias = Literal["transcribe", "translate"]


# What a provider says about itself


class ProviderInfo(Struct, frozen=True, kw_only=True):
    """Who a provider is."""

    name: str
    """Lower-case word that prefixes ids as ``name:id`` and names the provider in answers."""
    title: str
    """Name for people."""
    licence: str
    """SPDX expression of the engine's code."""
    homepage: str = ""
    env_prefix: str = ""
    """Prefix of this provider's own environment variables, such as ``PIPER_``."""
    environment: tuple[str, ...] = ()
    """Further variables, secrets included, that its worker may see, such as ``HF_TOKEN``."""
    versions: dict[str, str] = field(default_factory=dict[str, str])
    """Distribution name to installed version, for reports."""


CANCEL_S = 1.0
"""Seconds within which an engine that promises nothing else is free after a cancel."""


class Capabilities(Struct, frozen=True, kw_only=True):
    """What the engines of one provider can do."""

    weight: Weight = "heavy"
    """``light`` work may be placed inline where the server is told to."""
    cancel_s: float | None = None
    """Promise: after a cancel the engine is free within this many seconds, at most twice its slowest step.

    None is ``CANCEL_S``, which every engine should keep that can; ``Engine.cancel_s`` comes before it.
    """
    streaming: bool = False
    """The engine yields before it has seen or made the whole."""
    word_timestamps: bool = False
    translation: bool = False
    languages: tuple[str, ...] = ()
    """BCP 47 tags; empty when unknown or per model."""
    speed_control: bool = False
    voice_blend: bool = False
    voice_design: bool = False
    voice_clone: bool = False
    instructions: bool = False
    seed: bool = False
    """Equal requests with an equal seed sound alike."""
    batch: bool = False


class Siblings(Struct, frozen=True, kw_only=True):
    """Which models of one provider share the work of a family, by id; each names all of them, itself included."""

    named: str
    """Speaks with the voices that are listed."""
    designed: str
    """Speaks with a voice that the instructions describe."""
    cloned: str
    """Speaks with the voice of a reference."""


class Model(Struct, frozen=True, kw_only=True):
    """One model a provider lists or resolves."""

    id: str
    """Id without the provider, such as ``Systran/faster-whisper-tiny.en``."""
    kind: Kind
    rate: int
    """Rate in Hz of the audio it takes (transcriber, detector, diarizer) or makes (synthesizer)."""
    title: str = ""
    languages: tuple[str, ...] = ()
    """BCP 47 tags; empty when it takes any or the provider does not know."""
    translates: bool = False
    """Transcribers: can translate into English."""
    bytes: int = 0
    """Size of the weights; 0 when there are none or the size is unknown."""
    licence: str = ""
    """SPDX expression or short name of the weights' licence."""
    memory_mb: int = 0
    """Estimated memory once loaded; 0 when unknown."""
    span_s: float | None = 30.0
    """Longest piece of audio an engine takes in one call; None for any length."""
    description: str = ""
    revision: str = ""
    """Commit of the repository the weights are fetched from; empty is its newest."""
    instructions: bool | None = None
    """Takes instructions; None is as its provider says in ``capabilities``."""
    siblings: Siblings | None = None
    """Synthesizers: each request goes to whichever of these can serve it."""
    helper: bool = False
    """Files that other models use: can be downloaded and deleted, not loaded."""


class Voice(Struct, frozen=True, kw_only=True):
    """One voice of a synthesizer's model."""

    id: str
    name: str
    language: str = "en-us"
    gender: str = "unknown"
    description: str = ""


class ModelSource(Struct, frozen=True, kw_only=True):
    """Weights that an installed package ships."""

    id: str
    """Model id, as its provider lists it."""
    kind: Kind
    path: str
    """Folder or file, absolute."""
    sha256: str = ""
    """Digest of the file, or of the largest file of the folder."""
    licence: str = ""
    default_for: Kind | None = None
    """The kind this model offers itself as default for."""
    priority: int = 0
    """Higher wins among sources that offer themselves; then the id decides."""


class Artifacts(Struct, frozen=True, kw_only=True, tag="artifacts"):
    """The files of one model on this machine."""

    paths: tuple[str, ...] = ()
    """Files and folders, absolute; they are this model's alone."""
    complete: bool = False
    """All that is needed to load is here."""


class LoadSpec(Struct, frozen=True, kw_only=True):
    """What an engine is loaded with."""

    model: Model
    path: str | None = None
    """Weights from a source or a folder of the user's; None: where the provider keeps its own."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``. Asked for and absent is a ``LoadFailed``."""
    compute_type: str = "auto"
    threads: int = 1
    """CPU threads this engine may use."""
    home: str = ""
    """Folder in which the provider keeps its files."""


class Loaded(Struct, frozen=True, kw_only=True, tag="loaded"):
    """What a load ended in."""

    device: str = "cpu"
    compute_type: str = ""
    max_concurrency: int = 1
    """Calls the engine takes at once."""
    cancel_s: float | None = None
    """``Engine.cancel_s`` after it was warmed up."""


class Description(Struct, frozen=True, kw_only=True, tag="description"):
    """All a server needs to serve a provider that lives in another environment."""

    api: tuple[int, int]
    plugin: str
    """Module that registers it, importable in its own environment."""
    distribution: str
    version: str
    kind: Kind
    info: ProviderInfo
    capabilities: Capabilities
    models: tuple[Model, ...] = ()
    voices: dict[str, tuple[Voice, ...]] = field(default_factory=dict[str, tuple[Voice, ...]])
    """Model id to voices."""
    aliases: dict[str, str] = field(default_factory=dict[str, str])
    openai_voices: dict[str, str] = field(default_factory=dict[str, str])
    sources: tuple[ModelSource, ...] = ()
    artifacts: dict[str, Artifacts] = field(default_factory=dict[str, Artifacts])
    """Model id to its files at the time of the description."""
    options_schema: dict[str, Any] = field(default_factory=dict[str, Any])
    """JSON Schema of the options Struct."""
    request_options_schema: dict[str, Any] = field(default_factory=dict[str, Any])
    """JSON Schema of the request options Struct."""


class EngineSpec(Struct, frozen=True, kw_only=True):
    """Which engine a worker is to make."""

    plugin: str
    """Module that registers the provider."""
    kind: Kind | Literal["media"]
    provider: str
    load: LoadSpec


# Audio on its way


class Audio(Struct, frozen=True, kw_only=True):
    """Samples as an engine makes them: float32 mono in [-1, 1], shape ``(n,)``."""

    samples: Float32
    rate: int


class Samples(Struct, frozen=True, kw_only=True, tag="samples"):
    """``Audio`` between processes: little-endian float32 bytes, at most one second in an item."""

    data: bytes
    rate: int


class MappedFile(Struct, frozen=True, kw_only=True, tag="mapped"):
    """A stretch of a file of raw little-endian float32 mono samples."""

    path: str
    offset: int
    """First frame."""
    frames: int
    rate: int


AudioIn: TypeAlias = MappedFile | Samples


# Requests


class TranscribeRequest(Struct, frozen=True, kw_only=True, tag="transcribe"):
    """Turn one span of speech into text."""

    audio: AudioIn
    language: str | None = None
    """ISO 639-1; None lets the engine detect."""
    languages: tuple[str, ...] = ()
    """Where ``language`` is None: the only ones that may be detected, ISO 639-1; empty is any."""
    keywords: tuple[str, ...] = ()
    """Words and names that are likely to be said."""
    prompt: str | None = None
    temperature: float | None = None
    """0 to 1; None is the engine's own default."""
    task: Task = "transcribe"
    word_timestamps: bool = False
    logprobs: bool = False
    options: Any = None
    """The provider's request options, an instance of its own Struct."""


class SynthesizeRequest(Struct, frozen=True, kw_only=True, tag="synthesize"):
    """Speak one piece of text."""

    text: str
    voice: str
    """Id of a voice of the model, or a blend where the provider can."""
    language: str | None = None
    speed: float = 1.0
    instructions: str | None = None
    """How to speak; where the model can design voices and ``voice`` is empty, which voice to speak with."""
    reference: AudioIn | None = None
    """Speech of the voice to clone, at the model's rate; it takes the place of ``voice``."""
    reference_text: str | None = None
    """What is said in ``reference``."""
    seed: int | None = None
    """Equal requests with an equal seed sound alike, where the engine can."""
    options: Any = None
    """The provider's request options, an instance of its own Struct."""


class KnownSpeaker(Struct, frozen=True, kw_only=True):
    """A speaker whose name and voice the caller knows."""

    name: str
    audio: AudioIn
    """Speech of nobody else, at the diarizer's rate."""


class DiarizeRequest(Struct, frozen=True, kw_only=True, tag="diarize"):
    """Say who spoke when."""

    audio: AudioIn
    speakers: int | None = None
    """How many there are; None lets the engine find out."""
    known: tuple[KnownSpeaker, ...] = ()
    """Turns of these carry their name in place of a label."""
    options: Any = None


class SessionConfig(Struct, frozen=True, kw_only=True, tag="session"):
    """How a detector's or processor's session is opened."""

    rate: int
    """Rate of the samples that will be fed."""
    options: Any = None


class DecodeRequest(Struct, frozen=True, kw_only=True, tag="decode"):
    """Media: decode a file to mono float32 at ``rate`` and cut it into spans."""

    path: str
    """The uploaded file; its format is found from its bytes."""
    target: str
    """File to write raw float32 samples to."""
    rate: int
    span_s: float | None = 30.0
    detector: EngineSpec | None = None
    """Runs over the samples; without it spans are cut by energy alone."""
    processors: tuple[EngineSpec, ...] = ()
    processor_options: tuple[Any, ...] = ()
    """Session options, one for each of ``processors``; empty is each provider's defaults."""
    threshold: float = 0.5
    min_speech_ms: int = 250
    min_silence_ms: int = 800
    prefix_ms: int = 400
    """Kept before speech, where there is a detector."""
    max_audio_s: float = 43_200.0


class EncodeConfig(Struct, frozen=True, kw_only=True, tag="encode"):
    """Media: a session that turns ``Samples`` into one stream of a container."""

    format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
    rate: int
    """Rate of the stream."""
    streamed: bool = True
    """False when the whole is at hand, so that headers carry true sizes."""
    processors: tuple[EngineSpec, ...] = ()
    processor_options: tuple[Any, ...] = ()
    """Session options, one for each of ``processors``; empty is each provider's defaults."""


Request: TypeAlias = TranscribeRequest | SynthesizeRequest | DiarizeRequest | DecodeRequest
Config: TypeAlias = SessionConfig | EncodeConfig


# Items


class Word(Struct, frozen=True, kw_only=True):
    word: str
    """As spoken, with the space before it where the engine gives one."""
    start: float
    end: float
    probability: float | None = None


class TokenLogprob(Struct, frozen=True, kw_only=True):
    token: str
    logprob: float
    bytes: tuple[int, ...] = ()


class Info(Struct, frozen=True, kw_only=True, tag="info"):
    """First item of a transcription."""

    language: str | None = None
    """ISO 639-1 of what was heard."""
    language_probability: float | None = None


class Segment(Struct, frozen=True, kw_only=True, tag="segment"):
    """A stretch of recognised speech; times count from the start of the span.

    What an engine does not have is None; ``wire`` says what that becomes.
    """

    start: float
    end: float
    text: str
    tokens: tuple[int, ...] | None = None
    temperature: float | None = None
    avg_logprob: float | None = None
    compression_ratio: float | None = None
    no_speech_prob: float | None = None
    words: tuple[Word, ...] | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    language: str | None = None
    speaker: str | None = None


class Timing(Struct, frozen=True, kw_only=True, tag="timing"):
    """When a word of the spoken text is heard; times count from the start of the piece."""

    word: str
    start: float
    end: float


class SpeakerTurn(Struct, frozen=True, kw_only=True, tag="turn"):
    start: float
    end: float
    speaker: str


class Activity(Struct, frozen=True, kw_only=True, tag="activity"):
    """What a detector heard: one probability of speech a hop."""

    offset: int
    """Frame at which the first hop starts, counted from the start of the session."""
    hop: int
    """Frames a probability stands for."""
    probabilities: tuple[float, ...]


class Span(Struct, frozen=True, kw_only=True, tag="span"):
    """Media: a stretch of the decoded file ready to be recognised."""

    offset: int
    """First frame in the decoded file."""
    frames: int


class Decoded(Struct, frozen=True, kw_only=True, tag="decoded"):
    """Media: the end of a decode."""

    frames: int
    rate: int
    speech_s: float
    """Seconds that the detector called speech; the whole length without a detector."""

    @property
    def duration_s(self) -> float:
        return self.frames / self.rate


class Chunk(Struct, frozen=True, kw_only=True, tag="chunk"):
    """Media: bytes of an encoded stream."""

    data: bytes


Item: TypeAlias = (
    Info | Segment | Samples | Timing | SpeakerTurn | Activity | Span | Decoded | Chunk | Description | Artifacts
)


class Event(Struct, frozen=True, kw_only=True):
    """A finished request, as observers see it. Nothing a user said or sent is in it."""

    route: str
    model: str | None
    status: int
    seconds: float
    audio_s: float | None = None
    request_id: str = ""
