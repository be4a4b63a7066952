"""Everything that can go wrong, as one tree.

::

    OpenSpeechError
    +-- InvalidRequest            400 invalid_request
    |   +-- InvalidAudio          400 invalid_audio
    |   +-- FeatureNotSupported   400 feature_not_supported
    |   +-- VoiceNotFound         400 voice_not_found
    |   +-- ProviderMissing       400 provider_missing
    |   +-- InvalidVoice          400 invalid_voice
    |       +-- LibraryFull       400 voice_library_full
    +-- Forbidden                 403 forbidden
    |   +-- FeatureDisabled       403 feature_disabled
    +-- ModelNotFound             404 model_not_found
    +-- NotLoaded                 404 not_loaded
    +-- JobNotFound               404 install_job_not_found
    +-- ProviderNotFound          404 provider_not_found
    +-- StoredVoiceNotFound       404 stored_voice_not_found
    +-- WeightsMissing            409 weights_missing
    +-- InUse                     409 model_in_use
    +-- VoiceExists               409 voice_exists
    +-- UploadTooLarge            413 upload_too_large
    +-- Unavailable               503 unavailable
    |   +-- QueueFull             503 queue_full
    |   +-- WorkerDied            503 worker_died
    |   +-- ModelFailed           503 model_failed
    |   +-- ShuttingDown          503 shutting_down
    +-- StepTimeout               504 step_timeout
    +-- StorageFull               507 storage_full
    +-- InsufficientMemory        507 insufficient_memory
    +-- EngineError               500 engine_error
    |   +-- LoadFailed            500 load_failed
    |   +-- DownloadFailed        500 download_failed
    +-- InstallFailed             500 provider_install_failed
    +-- ProtocolError             500 protocol_error
    +-- PluginError               never reaches a caller: the plugin is skipped and reported
    +-- Cancelled                 never reaches a caller: who asked has left

``message`` is for the caller: it says what was wrong, with which value, and what would be right. It never
holds a path of the server, a traceback or what somebody said. The status belongs to ``open_speech_api.errors``.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct


class ErrorInfo(Struct, frozen=True, kw_only=True):
    """An error between processes."""

    code: str
    message: str
    param: str | None = None


class OpenSpeechError(Exception):
    """A defect of the server; its log knows more.

    Root of the tree; raise a leaf.
    """

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param

    def info(self) -> ErrorInfo:
        return ErrorInfo(code=self.code, message=self.message, param=self.param)


class InvalidRequest(OpenSpeechError):
    """A field is missing, malformed or out of range."""

    code = "invalid_request"


class InvalidAudio(InvalidRequest):
    """The bytes are empty, not audio, or too long."""

    code = "invalid_audio"


class FeatureNotSupported(InvalidRequest):
    """The chosen model, or this installation, cannot do what was asked."""

    code = "feature_not_supported"


class VoiceNotFound(InvalidRequest):
    """The model has no such voice."""

    code = "voice_not_found"


class ProviderMissing(InvalidRequest):
    """The model's provider is known and not installed; the message says how to get it."""

    code = "provider_missing"


class InvalidVoice(InvalidRequest):
    """What was sent cannot be stored as a voice: its name is empty or too long, or it is no WAV with sound."""

    code = "invalid_voice"


class LibraryFull(InvalidVoice):
    """The voice library holds as many voices as it may; delete one."""

    code = "voice_library_full"


class Forbidden(OpenSpeechError):
    """The caller may not do this here."""

    code = "forbidden"


class FeatureDisabled(Forbidden):
    """Switched off by a setting."""

    code = "feature_disabled"


class ModelNotFound(OpenSpeechError):
    """No provider claims the id."""

    code = "model_not_found"


class NotLoaded(OpenSpeechError):
    """The model is known and not in memory."""

    code = "not_loaded"


class JobNotFound(OpenSpeechError):
    """No install has this number."""

    code = "install_job_not_found"


class ProviderNotFound(OpenSpeechError):
    """No provider of this name was installed by this server."""

    code = "provider_not_found"


class StoredVoiceNotFound(OpenSpeechError):
    """The voice library has no voice of this name."""

    code = "stored_voice_not_found"


class WeightsMissing(OpenSpeechError):
    """The weights are not on this machine and may not be fetched now."""

    code = "weights_missing"


class InUse(OpenSpeechError):
    """What is to be removed serves somebody right now."""

    code = "model_in_use"


class VoiceExists(OpenSpeechError):
    """The voice library has a voice of this name already; ``overwrite=true`` replaces it."""

    code = "voice_exists"


class UploadTooLarge(OpenSpeechError):
    """The body is larger than the limit."""

    code = "upload_too_large"


class Unavailable(OpenSpeechError):
    """Right now it cannot be done; later it may."""

    code = "unavailable"

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, param=param)
        self.retry_after_s = retry_after_s


class QueueFull(Unavailable):
    """Too many callers wait, or this one waited too long."""

    code = "queue_full"


class WorkerDied(Unavailable):
    """The process that did the work ended."""

    code = "worker_died"
    beside: bool = False
    """Other calls ran in that process, so that this one may not be what ended it."""


class ModelFailed(Unavailable):
    """The model's workers died too often; it rests for a while."""

    code = "model_failed"


class ShuttingDown(Unavailable):
    """The server is going down."""

    code = "shutting_down"


class StepTimeout(OpenSpeechError):
    """An engine showed no progress for too long and was stopped."""

    code = "step_timeout"


class StorageFull(OpenSpeechError):
    """Not enough free disk for the work."""

    code = "storage_full"


class InsufficientMemory(OpenSpeechError):
    """The model would not fit into the memory that is free."""

    code = "insufficient_memory"


class EngineError(OpenSpeechError):
    """An engine raised something it should not have."""

    code = "engine_error"


class LoadFailed(EngineError):
    """An engine could not be loaded."""

    code = "load_failed"


class DownloadFailed(EngineError):
    """Weights could not be fetched whole."""

    code = "download_failed"


class InstallFailed(OpenSpeechError):
    """A provider could not be installed; what was there before still serves."""

    code = "provider_install_failed"


class ProtocolError(OpenSpeechError):
    """A worker and the server do not understand each other."""

    code = "protocol_error"


class PluginError(OpenSpeechError):
    """A plugin cannot be used."""

    code = "plugin_error"


class Cancelled(OpenSpeechError):
    """Who asked has left."""

    code = "cancelled"


def _walk(cls: type[OpenSpeechError]) -> dict[str, type[OpenSpeechError]]:
    found = {cls.code: cls}
    for child in cls.__subclasses__():
        found.update(_walk(child))
    return found


BY_CODE = _walk(OpenSpeechError)
"""Every class of the tree by its code."""


def from_info(info: ErrorInfo) -> OpenSpeechError:
    """Make the error a worker reported; a code nobody knows becomes ``EngineError``."""
    return BY_CODE.get(info.code, EngineError)(info.message, param=info.param)
