"""From the tree of errors to HTTP: status, OpenAI's ``type``, headers. One table, rendered into the docs."""

from __future__ import annotations

import math

from msgspec import Struct

from open_speech_core import errors as e

from .wire.errors import ErrorBody

SERVER = "server_error"
REQUEST = "invalid_request_error"

STATUS: dict[type[e.OpenSpeechError], tuple[int, str]] = {
    e.OpenSpeechError: (500, SERVER),
    e.InvalidRequest: (400, REQUEST),
    e.Forbidden: (403, REQUEST),
    e.ModelNotFound: (404, REQUEST),
    e.NotLoaded: (404, REQUEST),
    e.JobNotFound: (404, REQUEST),
    e.ProviderNotFound: (404, REQUEST),
    e.StoredVoiceNotFound: (404, REQUEST),
    e.WeightsMissing: (409, REQUEST),
    e.InUse: (409, REQUEST),
    e.VoiceExists: (409, REQUEST),
    e.UploadTooLarge: (413, REQUEST),
    e.Unavailable: (503, SERVER),
    e.StepTimeout: (504, SERVER),
    e.StorageFull: (507, SERVER),
    e.InsufficientMemory: (507, SERVER),
    e.Cancelled: (499, REQUEST),
}
"""Status and type by class; a class that is not here takes its parent's."""


class Answer(Struct, frozen=True, kw_only=True):
    """An error as it leaves the server."""

    status: int
    type: str
    code: str
    message: str
    param: str | None
    headers: dict[str, str]


def answer(error: e.OpenSpeechError) -> Answer:
    """Look an error up in the table."""
    status, type_ = next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)
    headers: dict[str, str] = {}
    if isinstance(error, e.Unavailable) and error.retry_after_s is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, e.ModelFailed) or status in (409, 504, 507) or isinstance(error, e.LoadFailed):
        headers["x-should-retry"] = "false"
    return Answer(status=status, type=type_, code=error.code, message=error.message, param=error.param, headers=headers)


def table() -> list[tuple[str, int, str]]:
    """Give code, status and first docstring line of every error a caller may see."""
    return [
        (code, answer(cls("")).status, (cls.__doc__ or "").splitlines()[0])
        for code, cls in sorted(e.BY_CODE.items())
        if not issubclass(cls, e.PluginError | e.Cancelled)
    ]


def body(error: e.OpenSpeechError) -> ErrorBody:
    """Give the error object of an answer or of a stream's last event."""
    found = answer(error)
    return ErrorBody(message=found.message, type=found.type, param=found.param, code=found.code)
