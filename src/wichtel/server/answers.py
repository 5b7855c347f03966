"""What the OpenAPI document says of every call alike: keys and conditions among its headers, and each way in which it may be refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from wichtel.server.schema import operation_id

_REFUSALS = {
    401: ("Unauthenticated", "There is no valid token."),
    403: ("NotPermitted", "The caller may not do this."),
    404: ("NotFound", "There is nothing of that name."),
    409: ("Conflict", "The name is taken, or the thing is in no state that allows this."),
    412: ("PreconditionFailed", "The thing is not as the request says it should be."),
    413: ("TooLarge", "The body is larger than it may be."),
    422: ("InvalidInput", "A value does not fit: which, and what to do."),
    429: ("TooManyRequests", "The caller asks too often."),
    503: ("Unavailable", "Busy, stopping, or without its database for a moment: the same call may succeed later."),
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Made up by the caller for this one request. With the same key it is carried out once, however often it is sent, within "
    "a day; the later ones are told what the first one was. For another request it is refused.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
}
_TAGS = r'^(\*|(W/)?"[!#-~]*"( ?, ?(W/)?"[!#-~]*")*)$'


def _condition(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": {"type": "string", "pattern": _TAGS}}


_UNLESS_KNOWN = _condition("If-None-Match", "ETags of earlier answers: if it would be one of them, 304 is said and nothing more.")
_IF_MATCH = _condition("If-Match", "ETags of what is to be changed, as GET said them: it is changed only if it still has one of them.")
_IF_ABSENT = _condition("If-None-Match", "An asterisk: only if there is none yet.")
_LOCATION = {"Location": {"description": "Where what was made can be read, if it can.", "schema": {"type": "string"}}}
_ETAG = {"ETag": {"description": "Changes whenever the answer does.", "schema": {"type": "string"}}}


def describe(document: dict[str, Any], routes: Iterable[Any], problem: Mapping[str, Any]) -> None:
    """Complete a document.

    Args:
        document: What FastAPI made of the routes.
        routes: Those of the API.
        problem: The schema of a problem report.
    """
    marks = {operation_id(route): vars(route.endpoint) for route in routes}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/v1/"):
                _complete(path, method, operation, marks.get(operation["operationId"], {}))
            elif operation.get("security"):
                _refuse(operation, {401, 429, 503})
    document["components"]["responses"] = {name: dict(_response(status, text, problem)) for status, (name, text) in _REFUSALS.items()}
    _close(document)


def _complete(path: str, method: str, operation: dict[str, Any], marks: Mapping[str, Any]) -> None:
    changes = method != "get" and "harmless" not in marks
    conditional = "thing" in marks
    refusals = {401, 403, 404, 422, 429, 503}
    parameters = operation.setdefault("parameters", [])
    if changes:
        refusals.add(409)
        parameters.append(_KEY)
    if conditional:
        refusals.add(412)
        parameters += [_IF_MATCH, _IF_ABSENT]
    if "requestBody" in operation:
        refusals.add(413)
    answers = operation["responses"]
    if "201" in answers:
        answers["201"]["headers"] = _LOCATION
    success = answers.get("200", {})
    if method == "get" and "text/event-stream" not in success.get("content", {}):
        parameters.append(_UNLESS_KNOWN)
        success["headers"] = _ETAG
        answers["304"] = {"description": "It is what the caller has.", "headers": _ETAG}
    _refuse(operation, refusals)


def _refuse(operation: dict[str, Any], statuses: Iterable[int]) -> None:
    for status in sorted(statuses):
        operation["responses"][str(status)] = {"$ref": f"#/components/responses/{_REFUSALS[status][0]}"}


def _response(status: int, text: str, problem: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    from wichtel.server.problems import MEDIA_TYPE

    yield "description", text
    yield "content", {MEDIA_TYPE: {"schema": problem}}
    if status in (429, 503):
        yield "headers", _RETRY_AFTER


def _close(document: dict[str, Any]) -> None:
    """Say of what is sent to the service that it may have no fields but those that are there. What the service sends may get more."""
    schemas = document["components"]["schemas"]
    wanted = [
        reference
        for methods in document["paths"].values()
        for operation in methods.values()
        for reference in _references(operation.get("requestBody", {}))
    ]
    closed: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name not in closed:
            closed.add(name)
            if "properties" in schemas[name]:
                schemas[name].setdefault("additionalProperties", False)
            wanted += _references(schemas[name])


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for part in schema:
            yield from _references(part)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref":
                yield value.rsplit("/", 1)[1]
            else:
                yield from _references(value)


def allowed(path: str, routes: Iterable[Any]) -> str:
    """The methods of an address, as the header Allow lists them; empty if there is no such address.

    The router looks no further than the first route that fits but for its method; this finds all of the template that fits best.
    """
    found: dict[str, set[str]] = {}
    for route in routes:
        if route.path_regex.match(path.removeprefix("/v1")):
            found.setdefault(route.path_format, set()).update(route.methods)
    # The more of a template is literal, the better it fits.
    best = max(found, key=lambda template: len(re.sub(r"\{\w+\}", "", template)), default=None)
    return ", ".join(sorted(found[best])) if best is not None else ""
