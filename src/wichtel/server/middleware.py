"""What happens to every request, from the outside in: it gets an id and safe headers, is counted, and finds room; slow senders are cut off.

No exception leaves the service as a traceback.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.requests import Request

from wichtel.domain import InvalidInput, TooManyRequests, Unavailable
from wichtel.server import problems
from wichtel.server.exchange import Exchange, current, enter
from wichtel.server.schema import operation_id

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from wichtel.server.limits import Limits
    from wichtel.server.statistics import Requests

_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")

#: A body must have come in this time, and longer only as long as it comes at this rate.
BODY_SECONDS = 20.0
BODY_BYTES_PER_SECOND = 16 * 1024

#: What every answer says, unless a page says something else of itself.
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class RequestIds:
    """Opens the `Exchange`: an id, taken from ``X-Request-Id`` if a proxy in front of us sent one, and said in the answer.

    Args:
        app: What answers.
        requests: Where requests are counted.
        limits: What a principal may ask.
    """

    def __init__(self, app: ASGIApp, requests: Requests, limits: Limits) -> None:
        self.app = app
        self._requests = requests
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _exchange(scope, self._limits)
        scope["request_id"] = exchange.request_id
        enter(exchange)
        status, streams = 0, False

        async def send_with_headers(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = exchange.request_id
                for name, value in exchange.answer_headers.items():
                    headers[name] = value
                for name, value in _SAFE.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith("/static"):
                    headers.setdefault("Cache-Control", "no-store")
                if streams := headers.get("content-type", "").startswith("text/event-stream"):
                    self._count(scope, exchange, status)
            await send(message)

        self._requests.under_way += 1
        try:
            await self.app(scope, receive, send_with_headers)
        except asyncio.CancelledError:
            # This process stops, and has waited for the answer as long as it may. Half an answer is cut off.
            if not status:
                late = Unavailable("this replica of the service stops, and this took longer than it may.", hint="Ask again.")
                await problems.report(late, exchange.request_id)(scope, receive, send_with_headers)
        except Exception as error:
            from wichtel.server.pages import errors

            answer = problems.unexpected(error, exchange.request_id)
            if status:
                # Half an answer is out: closing the connection is all that can be said.
                raise
            await errors.answer(Request(scope), answer)(scope, receive, send_with_headers)
        finally:
            self._requests.under_way -= 1
            if status and not streams:
                self._count(scope, exchange, status)

    def _count(self, scope: Scope, exchange: Exchange, status: int) -> None:
        route = scope.get("route")
        # What is no call of the API, such as a page or a wrong address, is counted together.
        call = operation_id(route) if hasattr(route, "tags") else "other"
        self._requests.add(call, status, time.perf_counter() - exchange.started, exchange.principal)


def _exchange(scope: Scope, limits: Limits) -> Exchange:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    given = headers.get("x-request-id", "")
    return Exchange(
        request_id=given if _SANE.fullmatch(given) else uuid.uuid4().hex[:16],
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        address=scope["client"][0] if scope.get("client") else "",
        limits=limits,
    )


_PROBES = frozenset({"/healthz", "/readyz"})


class Gate:
    """Lets in as many requests at once as there is room for, and none from an address that keeps failing to say who it is.

    Args:
        app: What answers.
        at_once: How many requests; event streams, which cost next to nothing, may be ten times as many.
    """

    def __init__(self, app: ASGIApp, at_once: int) -> None:
        self.app = app
        self._free = {False: at_once, True: 10 * at_once}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and {"content-length", "transfer-encoding"} <= current().headers.keys():
            # A proxy in front of us may take the one for true, and we the other: then what one caller sends becomes another's request.
            current().answer_headers["Connection"] = "close"
            twice = InvalidInput("the body has two lengths.", where="header Content-Length", hint="Leave out one of the headers.")
            await problems.report(twice, current().request_id, status=400)(scope, receive, send)
            return
        if scope["type"] != "http" or scope["path"] in _PROBES or scope["path"].startswith("/static/"):
            # Whether the process lives is answered also when it is busy; files cost nothing.
            await self.app(scope, receive, send)
            return
        exchange = current()
        # A token, or the cookie of a session.
        token = exchange.headers.get("authorization") or exchange.headers.get("cookie")
        wait = exchange.limits.knock(exchange.address, token)
        stream = scope["path"].endswith(":stream")
        if wait:
            error = TooManyRequests("too many requests without a valid token came from your address.", hint="Wait, and check the token.")
            await problems.report(error, exchange.request_id)(scope, receive, send)
            return
        if self._free[stream] <= 0:
            busy = Unavailable("there are too many requests at once.", hint="Try again.")
            await problems.report(busy, exchange.request_id)(scope, receive, send)
            return

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start" and (message["status"] == 401 or exchange.principal):
                exchange.limits.knocked(exchange.address, token, good=message["status"] != 401)
            await send(message)

        self._free[stream] -= 1
        try:
            await self.app(scope, _patient(receive), send_and_note)
        finally:
            self._free[stream] += 1


def _patient(receive: Receive) -> Receive:
    """`receive`, which waits for a slow sender only so long."""
    begun = time.monotonic()
    got = 0
    complete = False

    async def receive_in_time() -> Message:
        nonlocal got, complete
        if complete:
            # What comes now is that the caller went away, whenever that is.
            return await receive()
        left = begun + BODY_SECONDS + got / BODY_BYTES_PER_SECOND - time.monotonic()
        try:
            async with asyncio.timeout(left):
                message = await receive()
        except TimeoutError:
            raise problems.TooSlow("the request's body did not come in time.", where="body") from None
        got += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        return message

    return receive_in_time
