"""What is done around a handler: a request with a key is carried out once, one with a condition only if that holds.

A handler that changes something is called within a unit of work (`Database.together`) in which the key is claimed first, the condition
checked, and the answer stored last; what its service commits is a part of that. So the change and its answer become durable at one moment,
and a process that is killed before has done nothing, one that is killed after can be asked again. See `wichtel.store.idempotency`.

Handlers that take long (reading a dataset, analysing a plan) cannot hold a transaction all that time. They are marked `lengthy`, and hand
`remember` to their service, which calls it in the transaction that commits their work. Two such requests at the same time may both
work, but only one commits; the other then finds the answer of the first. They have threads of their own: however many wait for a worker,
all other calls go on.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from anyio import to_thread
from fastapi.routing import APIRoute
from starlette.responses import Response

from wichtel.app import App
from wichtel.domain import InvalidInput, NotFound, WichtelError
from wichtel.server.conditions import Conditions, tag_of
from wichtel.server.exchange import Exchange, current
from wichtel.server.wire import location, packed
from wichtel.store import StoredAnswer, Transaction, codec

F = TypeVar("F", bound=Callable[..., Response])

#: What is stored of an answer's headers.
_KEPT_HEADERS = ("content-type", "etag", "location")


def conditional(kind: str, thing: Callable[..., Any]) -> Callable[[F], F]:
    """Mark a handler whose callers may say in which state a thing must be for it to be changed.

    Args:
        kind: Of the thing. Two changes of one kind come one after the other, so that what a condition found stays true.
        thing: Called with those of the handler's arguments that it names; returns the thing as GET does, or None, or raises `NotFound`.
    """

    def mark(handler: F) -> F:
        handler.__dict__["kind"] = kind
        handler.__dict__["thing"] = thing
        return handler

    return mark


def lengthy(handler: F) -> F:
    """Mark a handler that takes long, and so can be carried out neither within one transaction nor on a thread that others wait for."""
    handler.__dict__["lengthy"] = True
    return handler


def harmless(handler: F) -> F:
    """Mark a handler of POST that changes nothing."""
    handler.__dict__["harmless"] = True
    return handler


def remember(tx: Transaction, value: Any, status: int = 201) -> None:
    """Store `value` as the answer to the current request, in the transaction that does what it asks for, if it has a key."""
    exchange = current()
    key = exchange.idempotency_key
    if key is not None:
        body = codec.encode(value)
        headers = {"content-type": "application/json", "etag": tag_of(body), **location(value)}
        if tx.idempotency.claim(exchange.principal, key, exchange.route, exchange.digest) is None:
            tx.idempotency.keep(exchange.principal, key, exchange.route, StoredAnswer(status=status, headers=headers, body=body))


def check_conditions(value: Any) -> None:
    """For handlers that are `lengthy`: refuse unless `value`, None if there is none, is what the current request says it should be.

    Raises:
        PreconditionFailed: it is not.
    """
    Conditions.of(current().headers).check(None if value is None else tag_of(codec.encode(value)))


class Route(APIRoute):
    """A route whose handler is guarded so; what every router here is made with."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if not (inspect.iscoroutinefunction(endpoint) or inspect.isasyncgenfunction(endpoint)):
            is_lengthy = vars(endpoint).get("lengthy", False)
            endpoint = _guarded(endpoint)
            if is_lengthy:
                endpoint = _aside(endpoint)
        super().__init__(path, endpoint, **options)


def _aside(handler: Callable[..., Response]) -> Callable[..., Any]:
    """`handler` on one of the few threads for what takes long; waiting for one takes none."""

    @functools.wraps(handler)
    async def aside(**arguments: Any) -> Response:
        return await to_thread.run_sync(functools.partial(handler, **arguments), limiter=current().limits.lengthy)

    return aside


def _guarded(handler: Callable[..., Response]) -> Callable[..., Response]:
    marks = getattr(handler, "__dict__", {})
    thing: Callable[..., Any] | None = marks.get("thing")
    is_lengthy: bool = marks.get("lengthy", False)
    is_harmless: bool = marks.get("harmless", False)

    @functools.wraps(handler)
    def guarded(**arguments: Any) -> Response:
        exchange = current()
        if is_harmless:
            return handler(**arguments)
        conditions = Conditions.of(exchange.headers)
        if not exchange.changes:
            return packed(_unless_known(handler(**arguments), conditions), exchange.headers)
        if conditions and thing is None:
            raise InvalidInput("this call knows no conditions.", where="header If-Match or If-None-Match", hint="Leave the header out.")
        key = _key(exchange, arguments)
        if key is None and thing is None:
            return handler(**arguments)
        app: App = arguments["app"]
        call = functools.partial(handler, **arguments)
        if is_lengthy:
            return call() if key is None else _lengthy_once(app, exchange, key, call)
        with app.db.together() as tx:
            if key is not None:
                stored = tx.idempotency.claim(exchange.principal, key, exchange.route, exchange.digest)
                if stored is not None:
                    return _replay(stored)
            if thing is not None:
                tx.exclusive(marks["kind"])
                conditions.check(_tag_now(thing, arguments) if conditions else None)
            answer = call()
            if thing is not None and exchange.method != "DELETE":
                answer.headers["etag"] = tag_of(bytes(answer.body))
            if key is not None:
                tx.idempotency.keep(exchange.principal, key, exchange.route, _stored(answer))
        return answer

    return guarded


def _key(exchange: Exchange, arguments: Mapping[str, Any]) -> str | None:
    # Some bodies have a field for it, which means the same as the header.
    inside: str | None = getattr(arguments.get("request"), "idempotency_key", None)
    key = exchange.idempotency_key
    if key is not None and inside is not None and key != inside:
        raise InvalidInput("body and header name different keys.", where="header Idempotency-Key", hint="Leave one of them out.")
    # A key is its principal's; who is nobody has none.
    return (key or inside) if exchange.principal else None


def _lengthy_once(app: App, exchange: Exchange, key: str, call: Callable[[], Response]) -> Response:
    asked = (exchange.principal, key, exchange.route, exchange.digest)

    def found() -> StoredAnswer | None:
        with app.db.read() as tx:
            return tx.idempotency.find(*asked)

    stored = found()
    if stored is None:
        try:
            answer = call()
        except WichtelError:
            # Perhaps because another request with this key was faster.
            stored = found()
            if stored is None:
                raise
        else:
            return answer
    return _replay(stored)


def _tag_now(thing: Callable[..., Any], arguments: dict[str, Any]) -> str | None:
    wanted = inspect.signature(thing).parameters
    try:
        value = thing(**{name: arguments[name] for name in wanted})
    except NotFound:
        return None
    return None if value is None else tag_of(codec.encode(value))


def _unless_known(answer: Response, conditions: Conditions) -> Response:
    body = getattr(answer, "body", None)
    if answer.status_code != 200 or not body:
        return answer
    tag = tag_of(bytes(body))
    if conditions.unchanged(tag):
        return Response(status_code=304, headers={"ETag": tag})
    answer.headers["etag"] = tag
    return answer


def _stored(answer: Response) -> StoredAnswer:
    headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
    return StoredAnswer(status=answer.status_code, headers=headers, body=bytes(answer.body))


def _replay(stored: StoredAnswer) -> Response:
    return Response(stored.body, stored.status, {**stored.headers, "Idempotency-Replayed": "true"})
