"""Every exception that reaches the framework becomes OpenAI's error object."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, cast

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from open_speech_core.errors import Cancelled, OpenSpeechError

from .errors import REQUEST, SERVER, answer
from .wire.errors import Envelope, ErrorBody

log = logging.getLogger(__name__)

CODES = {
    400: "invalid_request",
    401: "invalid_api_key",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "upload_too_large",
    415: "invalid_request",
    426: "websocket_upgrade_required",
    429: "rate_limited",
}

AnyRequest = Request[Any, Any, Any]


def expected(request: AnyRequest, error: OpenSpeechError) -> Response[Envelope | None]:
    """Answer an error of the tree."""
    if isinstance(error, Cancelled):
        return Response(None, status_code=499)
    found = answer(error)
    if found.status >= 500:
        log.warning("%s: %s", found.code, found.message)
    body = ErrorBody(message=found.message, type=found.type, param=found.param, code=found.code)
    return Response(Envelope(error=body), status_code=found.status, headers=found.headers)


def of_framework(request: AnyRequest, error: HTTPException) -> Response[Envelope]:
    """Answer what the router or a decoder refused."""
    status = 400 if error.status_code in (415, 422) else error.status_code
    param: str | None = None
    message = error.detail
    if isinstance(error, ValidationException):
        param, message = _first_problem(error)
    elif status == 404:
        message = f"There is no {request.method} {request.url.path[:200]}"
    elif status >= 500:
        log.error("the framework failed", exc_info=error)
        message = "The server failed; the log knows more."
    type_ = SERVER if status >= 500 else REQUEST
    body = ErrorBody(message=message, type=type_, param=param, code=CODES.get(status, "internal_error"))
    return Response(Envelope(error=body), status_code=status, headers=error.headers or {})


def unexpected(request: AnyRequest, error: Exception) -> Response[Envelope]:
    """Answer a defect of ours; the traceback goes to the log alone."""
    log.error("unexpected failure of %s", request.url.path, exc_info=error)
    body = ErrorBody(message="The server failed; the log knows more.", type=SERVER, code="internal_error")
    return Response(Envelope(error=body), status_code=500)


def too_deep(request: AnyRequest, error: RecursionError) -> Response[Envelope]:
    """Answer JSON whose nesting no decoder takes; for routes that let the framework decode it."""
    body = ErrorBody(message="the body is not valid JSON: it is nested too deeply", type=REQUEST, code=CODES[400])
    return Response(Envelope(error=body), status_code=400)


def _first_problem(error: ValidationException) -> tuple[str | None, str]:
    """Name the first parameter at fault and say what is wrong with it."""
    problems = cast("list[dict[str, Any]]", error.extra) if isinstance(error.extra, list) else []
    for problem in problems:
        return problem.get("key"), str(problem.get("message") or error.detail)
    return None, error.detail


HANDLERS: Mapping[int | type[Exception], Callable[[AnyRequest, Any], Response[Any]]] = {
    OpenSpeechError: expected,
    HTTPException: of_framework,
    Exception: unexpected,
}
