"""How values travel: answers written by the store's codec, bodies read strictly, both described for OpenAPI.

FastAPI's own serialisation is left out: the codec knows our values, is several times faster, and the schemas come from the same library.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from wichtel.domain import Dataset, Experiment, InvalidInput, ModelVersion, Registration, SavedSearch, Study
from wichtel.experiments.notifications import NewChannel
from wichtel.server.exchange import current
from wichtel.server.problems import TooLarge
from wichtel.server.schema import reference
from wichtel.server.selection import Described, encode
from wichtel.store import Page, Principal, codec

T = TypeVar("T")

#: Largest body of an ordinary request, and of an archive.
BODY_BYTES = 2 * 2**20
ARCHIVE_BYTES = 24 * 2**20
#: Less JSON is not worth compressing.
_LONG_BYTES = 32 * 2**10


def page(found: Sequence[T], limit: int, key: Callable[[T], str]) -> Page[T]:
    """The first `limit` of `found`, with the cursor of what follows.

    Args:
        found: One more than `limit`, if there are so many.
        limit: How many were asked for.
        key: What the list goes on after.
    """
    items = tuple(found[:limit])
    return Page(items=items, cursor=key(items[-1]) if len(found) > limit else None)


def everything(found: Sequence[T]) -> Page[T]:
    """`found` as the only page."""
    return Page(items=tuple(found))


def reply(value: Any, status: int = 200) -> Response:
    """`value` as JSON, with the fields that the caller wants; 201 says also where it can be read from now on."""
    return Response(encode(value), status, location(value) if status == 201 else None, media_type="application/json")


def packed(answer: Response, headers: Mapping[str, str]) -> Response:
    """`answer`, compressed if it is long JSON and whoever sent `headers` takes it so."""
    # None if it is streamed.
    body = bytes(getattr(answer, "body", b""))
    if len(body) < _LONG_BYTES or answer.media_type != "application/json" or "gzip" not in headers.get("accept-encoding", ""):
        return answer
    # Quickly: it is done for one caller.
    answer.body = gzip.compress(body, 1, mtime=0)
    answer.headers.update({"content-length": str(len(answer.body)), "content-encoding": "gzip", "vary": "Accept-Encoding"})
    return answer


def nothing() -> Response:
    """The answer that something is gone."""
    return Response(status_code=204)


#: What is made by a call, and where it can be read then.
_PLACES: dict[type, Callable[[Any], str]] = {
    Dataset: lambda dataset: f"datasets/{quote(dataset.name)}",
    Experiment: lambda experiment: f"experiments/{experiment.id}",
    ModelVersion: lambda version: f"versions/{version.id}",
    NewChannel: lambda made: f"channels/{made.channel.id}",
    Principal: lambda principal: f"principals/{quote(principal.name)}",
    Registration: lambda registration: f"registrations/{registration.id}",
    SavedSearch: lambda search: f"saved-searches/{search.id}",
    Study: lambda study: f"studies/{quote(study.spec.id)}",
}


def location(value: Any) -> dict[str, str]:
    """The header Location of what was made; nothing for what cannot be read again, such as a token."""
    place = _PLACES.get(type(value))
    return {} if place is None else {"location": f"/v1/{place(value)}"}


def text(value: str, media_type: str = "text/plain") -> Response:
    """`value` as it is."""
    return Response(value, media_type=media_type)


def json_body(kind: type[T]) -> Callable[[Request], Coroutine[Any, Any, T]]:
    """A dependency that reads the request's body as a `kind`."""

    async def read(request: Request) -> T:
        body = await _limited(request, BODY_BYTES)
        try:
            return codec.decode(body, kind)
        except InvalidInput as error:
            raise _in_body(error) from None

    return read


def read_as(plain: Any, kind: type[T]) -> T:
    """`plain`, of the request's body, as a `kind`.

    Raises:
        InvalidInput: it does not fit.
    """
    try:
        return codec.from_plain(plain, kind)
    except InvalidInput as error:
        raise _in_body(error) from None


def _in_body(error: InvalidInput) -> InvalidInput:
    # The codec gives a path from the root, "$.space.x"; the values themselves name their own places.
    where = error.where or "$"
    if where.startswith("$"):
        where = ", ".join(filter(None, ("body", where.removeprefix("$").removeprefix("."))))
    return InvalidInput(error.message, where=where, hint=error.hint)


def raw_body(limit: int) -> Callable[[Request], Coroutine[Any, Any, bytes]]:
    """A dependency that reads the request's body as it is, up to `limit` bytes."""

    async def read(request: Request) -> bytes:
        return await _limited(request, limit)

    return read


async def _limited(request: Request, limit: int) -> bytes:
    parts: list[bytes] = []
    digest = current().body
    # What the request says of itself is checked first, so that nothing is read in vain; what it sends is counted all the same.
    given = request.headers.get("content-length", "0")
    size = int(given) if given.isdecimal() else 0
    if size <= limit:
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > limit:
                break
            digest.update(part)
            parts.append(part)
    if size > limit:
        raise TooLarge(f"the request's body is larger than {limit // 2**20} MiB.", where="body")
    return b"".join(parts)


def returns(kind: Any, *kinds: Any, status: int = 200, accepts: Any = None, media_type: str = "application/json") -> dict[str, Any]:
    """What OpenAPI says of a route, as keyword arguments of its decorator.

    Args:
        kind: Type of the answer; None for an answer that is not JSON.
        kinds: Other types that it may have.
        status: Of success.
        accepts: Type of the body; a string for a media type.
        media_type: Of the answer.
    """
    schema = {"type": "string"} if kind is None else {"anyOf": [*map(reference, (kind, *kinds))]} if kinds else reference(kind)
    described = () if kind is None else (kind, *kinds)
    extra: dict[str, Any] = {}
    if accepts is not None:
        content = (
            {accepts: {"schema": {"type": "string", "format": "binary"}}}
            if isinstance(accepts, str)
            else {"application/json": {"schema": reference(accepts)}}
        )
        extra["requestBody"] = {"required": True, "content": content}
    return {
        "status_code": status,
        "response_model": None,
        "responses": {status: {"description": "Success", "content": {media_type: {"schema": Described(schema, described)}}}},
        "openapi_extra": extra or None,
    }
