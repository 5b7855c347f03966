"""Errors as problem reports (RFC 9457): what happened, where, what to do, and which line of the log to look for. Never a traceback."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from wichtel.domain import (
    AlreadyExists,
    DatabaseTooNew,
    IllegalTransition,
    InvalidInput,
    NotFound,
    NotPermitted,
    PreconditionFailed,
    StorageFailed,
    SystemFault,
    TooManyRequests,
    Unavailable,
    UserError,
    WichtelError,
    WorkerLost,
)

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

#: The first that an error is an instance of decides. What the user can put right is 4xx; 503 says that the same call may succeed later.
STATUS: tuple[tuple[type[WichtelError], int], ...] = (
    (NotFound, 404),
    (AlreadyExists, 409),
    (IllegalTransition, 409),
    (NotPermitted, 403),
    (PreconditionFailed, 412),
    (TooManyRequests, 429),
    (UserError, 422),
    (DatabaseTooNew, 503),
    (Unavailable, 503),
    (StorageFailed, 503),
    (WorkerLost, 503),
    (WichtelError, 500),
)

_TITLES = {
    400: "Bad request",
    401: "Who are you?",
    403: "Not permitted",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Conflict",
    412: "Precondition failed",
    413: "Too large",
    422: "Invalid input",
    429: "Too many requests",
    500: "System fault",
    503: "Not available",
}


#: What an answer of a status says besides. What may be better in a second is tried again then; a limit of requests says so more exactly.
_HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    408: {"Connection": "close"},
    429: {"Retry-After": "1"},
    503: {"Retry-After": "1"},
}


class Problem(msgspec.Struct, frozen=True):
    """The body of every answer that is not a success."""

    title: str
    status: int
    #: All of it in one sentence.
    detail: str
    #: The error's kind: ``invalid_input``, ``not_found``, …; see `wichtel.domain.errors`.
    code: str
    message: str
    where: str | None
    hint: str | None
    #: Also in the header ``X-Request-Id`` and in the server's log.
    request_id: str


class Unauthenticated(NotPermitted):
    """The request carries no token, or one that is not valid."""


class TooLarge(InvalidInput):
    """The request's body is larger than it may be."""


class TooSlow(InvalidInput):
    """The request's body did not come in time."""


def status_of(error: WichtelError) -> int:
    """The HTTP status of `error`."""
    if isinstance(error, Unauthenticated):
        return 401
    if isinstance(error, TooLarge):
        return 413
    if isinstance(error, TooSlow):
        return 408
    return next(status for kind, status in STATUS if isinstance(error, kind))


def report(error: WichtelError, request_id: str, *, status: int | None = None) -> Response:
    """The answer that tells of `error`."""
    status = status or status_of(error)
    problem = Problem(
        title=_TITLES.get(status, "Error"),
        status=status,
        detail=str(error),
        code=error.code,
        message=error.message,
        where=error.where,
        hint=error.hint,
        request_id=request_id,
    )
    headers = dict(_HEADERS.get(status, {}))
    return Response(msgspec.json.encode(problem), status, headers, MEDIA_TYPE)


def install(api: FastAPI) -> None:
    """Turn every exception into a problem report."""
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    from wichtel.server import denials
    from wichtel.server.answers import allowed
    from wichtel.server.pages import errors
    from wichtel.server.routes import ROUTERS

    def known(request: Request, error: Exception) -> Response:
        assert isinstance(error, WichtelError)
        if isinstance(error, Unavailable):
            # No fault of ours, which a traceback would help to find.
            log.warning("request %s: %s %s: %s", _id(request), request.method, request.url.path, error)
        elif status_of(error) >= 500:
            log.error("request %s: %s %s failed", _id(request), request.method, request.url.path, exc_info=error)
        if status_of(error) in (401, 403):
            denials.note(request, error, status_of(error))
        return errors.answer(request, report(error, _id(request)), error)

    def unfit(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        said = _first(error.errors())
        return errors.answer(request, report(said, _id(request)), said)

    def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        said = _of_status(error.status_code, request)
        answer = errors.answer(request, report(said, _id(request), status=error.status_code), said)
        answer.headers.update(error.headers or {})
        if error.status_code == 405 and (methods := allowed(request.url.path, [r for router in ROUTERS for r in router.routes])):
            answer.headers["allow"] = methods
        return answer

    api.add_exception_handler(WichtelError, known)
    api.add_exception_handler(RequestValidationError, unfit)
    api.add_exception_handler(HTTPException, http)


def unexpected(error: Exception, request_id: str) -> Response:
    """The answer to a fault that nobody foresaw; the log has the rest."""
    log.error("request %s failed", request_id, exc_info=error)
    fault = SystemFault("Something went wrong inside the service.", hint=f"Its log says more under request {request_id}.")
    return report(fault, request_id)


def _id(request: Request) -> str:
    return str(request.scope.get("request_id", ""))


def _first(problems: Any) -> InvalidInput:
    problem = problems[0]
    place = [str(part) for part in problem["loc"]]
    kind, name = place[0], ".".join(place[1:])
    return InvalidInput(f"{problem['msg']}.", where=f"{kind} parameter {name!r}" if name else kind)


def _of_status(status: int, request: Request) -> WichtelError:
    path = request.url.path
    if status == 404:
        return NotFound("there is no such address.", where=path, hint="/docs lists them all.")
    if status == 405:
        return InvalidInput(f"{request.method} does not go with this address.", where=path, hint="/docs lists what does.")
    return (SystemFault if status >= 500 else InvalidInput)(f"the request was refused with status {status}.", where=path)
