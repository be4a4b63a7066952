"""The settings themselves. A field's variable is its section's prefix and its name, unless ``env`` says it.

Descriptions, ranges and ``expects`` are data: the error messages and docs/settings.md are made from them.
None means that nobody set the variable, which is kept apart from any value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct, field

DEVICE = r"^(auto|cpu|cuda(:\d+)?)$"
DEVICES = {"expects": "auto, cpu, cuda or cuda:N"}

AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]


class Section(Struct, frozen=True, kw_only=True):
    """Settings whose variables begin alike."""

    prefix: ClassVar[str] = ""


class ServerSettings(Section, frozen=True, kw_only=True):
    """The server: where it listens, who may use it, and how much it takes on."""

    prefix: ClassVar[str] = "OS_"

    host: Annotated[str, Meta(description="Address to listen on. Unset: 127.0.0.1; the image sets 0.0.0.0.")] | None = (
        None
    )
    port: Annotated[int, Meta(ge=1, le=65535, description="Port to listen on.")] = 8100
    api_key: (
        Annotated[
            str,
            Meta(
                description="Key, or several with commas between, that callers send as a Bearer token. "
                "Unset: all is open; models are loaded, deleted and installed on loopback only.",
                extra={"secret": True, "expects": "one or more keys separated by commas"},
            ),
        ]
        | None
    ) = None
    auth_required: Annotated[bool, Meta(description="Refuse to start without `OS_API_KEY`.")] = False
    cors_origins: Annotated[
        tuple[str, ...], Meta(description="Origins whose pages may call the server; `*` is any.")
    ] = ("*",)
    trust_proxy: Annotated[
        bool,
        Meta(
            description="Take the caller's address from the last entry of `X-Forwarded-For`; callers take turns by it."
        ),
    ] = False
    effects_enabled: Annotated[bool, Meta(description="Take `effects` of a speech request; else they are ignored.")] = (
        True
    )
    max_upload_mb: Annotated[int, Meta(ge=1, description="Largest upload, in MB; above it: 413.")] = 100
    ssl_enabled: (
        Annotated[
            bool,
            Meta(
                description="Serve HTTPS. Unset: yes if a certificate is given or others can reach us. "
                "Without a certificate of yours one is made and renewed."
            ),
        ]
        | None
    ) = None
    ssl_certfile: Annotated[str, Meta(description="Certificate chain, PEM. Goes with `OS_SSL_KEYFILE`.")] | None = None
    ssl_keyfile: Annotated[str, Meta(description="Private key, PEM. Goes with `OS_SSL_CERTFILE`.")] | None = None
    data_dir: (
        Annotated[str, Meta(description="Where data is kept. Unset: the user's data folder; `/data` in the image.")]
        | None
    ) = None
    providers_dir: (
        Annotated[str, Meta(description="Where providers are installed. Unset: `providers` in the data folder.")] | None
    ) = None
    provider_install: Annotated[
        bool, Meta(description="Let providers be installed while the server runs; no: 403 for everybody.")
    ] = True
    provider_catalogue: (
        Annotated[str, Meta(description="JSON file with further providers that may be installed.")] | None
    ) = None
    wheelhouse: (
        Annotated[
            str, Meta(description="Folder with our own wheels for installs. Unset: `wheelhouse` in the data folder.")
        ]
        | None
    ) = None
    voice_library_path: (
        Annotated[str, Meta(description="Where stored voices lie. Unset: `voices` in the data folder.")] | None
    ) = None
    voice_library_max_count: Annotated[
        int, Meta(ge=0, description="Voices that may be stored; one more is refused. 0: any number.")
    ] = 100
    install_timeout_s: Annotated[
        float, Meta(gt=0, le=86_400, description="Seconds an install of a provider may take.")
    ] = 1800.0
    run_dir: (
        Annotated[
            str,
            Meta(description="Where uploads lie while a request runs. Unset: a private temporary folder."),
        ]
        | None
    ) = None
    placement: Annotated[
        Literal["workers", "inline"],
        Meta(description="Run engines in own processes, or on threads of the server (tiny devices)."),
    ] = "workers"
    queue_max: Annotated[int, Meta(ge=1, description="Requests that may wait for a model; one more: 503.")] = 64
    queue_wait_s: Annotated[
        float, Meta(gt=0, le=86_400, description="Seconds a request may wait for its turn; longer: 503.")
    ] = 120.0
    step_timeout_s: Annotated[
        float,
        Meta(gt=0, le=86_400, description="Seconds an engine may show no progress before it is stopped: 504."),
    ] = 120.0
    load_timeout_s: Annotated[
        float, Meta(gt=0, le=86_400, description="Seconds a model may take to load without any progress.")
    ] = 600.0
    drain_s: Annotated[
        float,
        Meta(ge=0, lt=10, description="Seconds that running requests have to finish when the server stops."),
    ] = 8.0
    max_audio_s: Annotated[float, Meta(gt=0, le=604_800, description="Longest audio of one request, in seconds.")] = (
        43_200.0
    )
    cores: (
        Annotated[int, Meta(ge=1, description="Cores that engines share. Unset: all the process may use.")] | None
    ) = None
    worker_threads: (
        Annotated[int, Meta(ge=1, description="Threads of one copy of a model. Unset: 1 on CPU.")] | None
    ) = None
    auto_download: Annotated[
        bool, Meta(description="Fetch missing weights when a request needs them; no: 409 naming the command.")
    ] = True
    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        Meta(description="What is logged. Only `debug` may hold what callers said."),
    ] = "info"

    @property
    def api_keys(self) -> tuple[bytes, ...]:
        """Every key that is let in, as the bytes a header would hold; empty: nobody needs one."""
        parts = (part.strip() for part in (self.api_key or "").split(","))
        return tuple(part.encode("utf-8", "surrogateescape") for part in parts if part)

    @property
    def data_root(self) -> Path:
        """Give ``data_dir``, or the user's data folder, which the platform's own variables may move."""
        if self.data_dir is not None:
            return Path(self.data_dir).expanduser()
        from platformdirs import user_data_path

        return user_data_path("open-speech", appauthor=False)

    def folder(self, name: str) -> Path:
        """Give a part of the data; some parts have variables of their own."""
        own = {"providers": self.providers_dir, "wheelhouse": self.wheelhouse, "voices": self.voice_library_path}
        if (path := own.get(name)) is not None:
            return Path(path).expanduser()
        return self.data_root / name

    def __repr__(self) -> str:
        """Show what differs from the defaults, and never the key."""
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        shown["api_key"] = "***" if self.api_key else None
        return f"ServerSettings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


class ModelSettings(Section, frozen=True, kw_only=True):
    """How long models stay in memory."""

    prefix: ClassVar[str] = "OS_"

    ttl_s: Annotated[
        float,
        Meta(
            ge=0,
            le=31_536_000,
            description="Seconds without use after which a model is unloaded; 0: never.",
            extra={"env": "OS_MODEL_TTL"},
        ),
    ] = 300.0
    max_loaded: Annotated[
        int,
        Meta(
            ge=0,
            description="Models in memory at once, the longest unused gives way; 0: any number.",
            extra={"env": "OS_MAX_LOADED_MODELS"},
        ),
    ] = 0
    memory_mb: (
        Annotated[
            int,
            Meta(ge=1, description="Memory that all models together may take on the host, in MB. Unset: what is free."),
        ]
        | None
    ) = None


class SttSettings(Section, frozen=True, kw_only=True):
    """Speech to text."""

    prefix: ClassVar[str] = "STT_"

    noise_reduce: Annotated[
        bool, Meta(description="Take noise out of recordings before they are recognised; needs the plugin `denoise`.")
    ] = False
    normalize: Annotated[
        bool, Meta(description="Bring recordings to -18 dBFS before; done by the plugin `loudness`, if there.")
    ] = True

    model: (
        Annotated[str, Meta(description="Model when a request names none. Unset: `open-speech doctor` says.")] | None
    ) = None
    device: (
        Annotated[
            str,
            Meta(
                pattern=DEVICE,
                description="Where models run. Unset: CUDA if it is there, else CPU.",
                extra=DEVICES,
            ),
        ]
        | None
    ) = None
    compute_type: (
        Annotated[str, Meta(description="Number format of weights, such as int8 or float16. Unset: by device.")] | None
    ) = None
    model_dir: Annotated[str, Meta(description="Folder that models are looked for in and fetched to.")] | None = None
    preload_models: Annotated[tuple[str, ...], Meta(description="Models loaded at start.")] = ()
    diarize_enabled: (
        Annotated[bool, Meta(description="Tell speakers apart when asked to. Unset: where a diarizer is installed.")]
        | None
    ) = None
    diarize_model: (
        Annotated[str, Meta(description="Diarizer. Unset: the first that is installed and has its weights.")] | None
    ) = None


class TtsSettings(Section, frozen=True, kw_only=True):
    """Text to speech."""

    prefix: ClassVar[str] = "TTS_"

    enabled: Annotated[bool, Meta(description="Offer text to speech at all.")] = True
    model: (
        Annotated[str, Meta(description="Model when a request names none. Unset: `open-speech doctor` says.")] | None
    ) = None
    voice: Annotated[str, Meta(description="Voice when a request names none. Unset: the model's first.")] | None = None
    speed: Annotated[float, Meta(ge=0.25, le=4, description="Speed when a request names none.")] = 1.0
    default_format: Annotated[AudioFormat, Meta(description="Audio format when a request names none.")] = "mp3"
    device: (
        Annotated[
            str,
            Meta(
                pattern=DEVICE,
                description="Where models run. Unset: the same as `STT_DEVICE`.",
                extra=DEVICES,
            ),
        ]
        | None
    ) = None
    trim_silence: Annotated[
        bool,
        Meta(description="Cut silence at both ends of speech, but for 40 ms; the plugin `effects` does it, if there."),
    ] = True
    normalize_output: Annotated[
        bool, Meta(description="Bring the peaks of speech to 0.95; done by the plugin `loudness`, if there.")
    ] = True
    max_input_length: Annotated[int, Meta(ge=1, description="Longest text of one request, in characters.")] = 4096
    preload_models: Annotated[tuple[str, ...], Meta(description="Models loaded at start.")] = ()


class VadSettings(Section, frozen=True, kw_only=True):
    """Finding speech in audio."""

    prefix: ClassVar[str] = "STT_VAD_"

    enabled: Annotated[bool, Meta(description="Leave out silence before recognition.")] = True
    threshold: Annotated[float, Meta(ge=0, le=1, description="Probability above which a moment is speech.")] = 0.5
    min_speech_ms: Annotated[int, Meta(ge=0, le=60_000, description="Shorter speech is ignored, in milliseconds.")] = (
        250
    )
    silence_ms: (
        Annotated[
            int,
            Meta(ge=0, le=60_000, description="Silence that ends speech, in milliseconds. Unset: 800."),
        ]
        | None
    ) = None

    @property
    def file_silence_ms(self) -> int:
        """Silence that ends a stretch of speech in a recording, in milliseconds."""
        return 800 if self.silence_ms is None else self.silence_ms


class Settings(Struct, frozen=True, kw_only=True):
    """All settings of one server."""

    server: ServerSettings = field(default_factory=ServerSettings)
    models: ModelSettings = field(default_factory=ModelSettings)
    stt: SttSettings = field(default_factory=SttSettings)
    tts: TtsSettings = field(default_factory=TtsSettings)
    vad: VadSettings = field(default_factory=VadSettings)
