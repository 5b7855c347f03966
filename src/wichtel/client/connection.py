"""One service and how to call it: addresses, token, retries, and errors as they were raised over there.

Every call may be repeated: what changes something carries a key of its own, under which the service does it once, however often it is
asked. So a call whose connection breaks, or that is told to come again (429, 503), is made again until it is answered or patience is over.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any, ClassVar, TypeVar

import httpx2
import msgspec

from wichtel.domain import InvalidInput, SystemFault, Unavailable, WichtelError
from wichtel.domain.errors import from_json
from wichtel.store import Page, codec

T = TypeVar("T")

#: The wait before the second attempt is up to twice that; each further one up to twice as long, and no longer than `_MOST_SECONDS`.
_PAUSE_SECONDS = 0.1
_MOST_SECONDS = 5.0
#: No attempt begins later than this after the first: a replica that died is replaced, and a database restarted, in less.
_PATIENCE_SECONDS = 30.0
#: Too many requests; a gateway without a replica; busy, draining, or without a database for a moment.
_COME_AGAIN = (429, 502, 503, 504)
#: Adding a model or a dataset is answered when the work is done.
_TIMEOUT = httpx2.Timeout(10.0, read=600.0)
#: A live stream says something at least every 15 seconds.
_STREAM_TIMEOUT = httpx2.Timeout(10.0, read=45.0)


#: Most items of a page.
_MOST = 1000


class NoService(SystemFault):
    """Nothing answers at the service's address."""

    code: ClassVar[str] = "no_service"


class Connection:
    """Calls one service. Safe to share among threads.

    Args:
        url: Address of the service.
        token: Access token.
        transport: What carries the requests; an ordinary connection by default.
    """

    def __init__(self, url: str, token: str | None, transport: httpx2.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._answered = False
        try:
            self._http = httpx2.Client(base_url=self.url, headers=headers, transport=transport, timeout=_TIMEOUT)
        except httpx2.InvalidURL as error:
            raise InvalidInput(f"this is no address: {error}.", where=url, hint="For example http://127.0.0.1:8420.") from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """Call and return the answer of a success.

        Args:
            method: HTTP method.
            path: Below the service's address.
            query: Parameters; those that are None are left out.
            body: Sent as JSON.
            content: Sent as it is, in the place of `body`.
            headers: Further ones, such as ``If-Match``.

        Raises:
            NoService: nothing answers.
            WichtelError: what the service raised.
        """
        sent = {"Content-Type": "application/json"} if body is not None else {}
        if method != "GET" and not (isinstance(body, dict) and body.get("idempotency_key")):
            sent["Idempotency-Key"] = uuid.uuid4().hex
        sent |= headers or {}
        data = codec.encode(body) if body is not None else content
        patience = time.monotonic() + _PATIENCE_SECONDS
        for attempt in count(1):
            pause = min(_PAUSE_SECONDS * 2**attempt, _MOST_SECONDS)
            asked = 0.0
            try:
                answer = self._http.request(method, path, params=_given(query), content=data, headers=sent)
            except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
                raise InvalidInput(f"this is no address of a service: {error}", where=self.url) from None
            except httpx2.TransportError as error:
                # A service that was never there is told soon. One that answered before may be restarting.
                absent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
                enough = not self._answered and attempt >= (2 if absent else 4)
                if enough or time.monotonic() + pause > patience:
                    raise self._no_service(error) from None
            else:
                self._answered = True
                if answer.is_success:
                    return answer
                asked = _retry_after(answer)
                if answer.status_code not in _COME_AGAIN or time.monotonic() + asked + pause > patience:
                    raise problem(answer)
            # No sooner than asked for, and not all of those that were turned away at the same moment.
            time.sleep(asked + pause * (random.uniform(0.5, 1.0) if attempt > 1 else 0.5))
        raise AssertionError("the last attempt returns or raises")

    def get(self, kind: type[T], path: str, **query: Any) -> T:
        """GET one `kind`."""
        return codec.read(self.call("GET", path, query=query).content, kind)

    def each(self, kind: Any, path: str, limit: int | None = None, **query: Any) -> Iterator[Any]:
        """GET a list of `kind`, a page whenever one is needed, up to `limit` of them; None for all."""
        cursor: str | None = None
        left = _MOST if limit is None else limit
        while left > 0:
            page = self.get(Page[kind], path, **query, limit=min(left, _MOST), cursor=cursor)
            yield from page.items[:left]
            cursor = page.cursor
            if cursor is None:
                return
            if limit is not None:
                left -= len(page.items)

    def pages(self, kind: Any, path: str, limit: int | None, **query: Any) -> list[Any]:
        """The same, all of them."""
        return list(self.each(kind, path, limit, **query))

    def all(self, kind: type[T], path: str, **query: Any) -> list[T]:
        """GET a list of `kind` that comes in one piece."""
        return list(self.get(Page[kind], path, **query).items)  # type: ignore[valid-type]

    @contextmanager
    def stream(self, path: str, *, query: Mapping[str, Any]) -> Iterator[httpx2.EventSource]:
        """Server-sent events.

        Raises:
            NoService: nothing answers, or the stream broke.
            Unavailable: to be asked again later.
            WichtelError: what the service raised.
        """
        headers = {"Accept": "text/event-stream"}
        try:
            with self._http.stream("GET", path, params=_given(query), headers=headers, timeout=_STREAM_TIMEOUT) as answer:
                if not answer.is_success:
                    answer.read()
                    error = problem(answer)
                    raise Unavailable(error.message, where=self.url) if answer.status_code in _COME_AGAIN else error
                yield httpx2.EventSource(answer)
        except httpx2.TransportError as error:
            raise self._no_service(error) from None

    def _no_service(self, error: httpx2.TransportError) -> NoService:
        if isinstance(error, httpx2.TimeoutException):
            return NoService("the service does not answer in time.", where=self.url)
        return NoService(
            f"no service answers ({error or type(error).__name__}).",
            where=self.url,
            hint="Start one with `wichtel serve`, name another with --url, or use --local to do without one.",
        )


def problem(answer: httpx2.Response) -> WichtelError:
    """The error that the service raised, from its problem report."""
    try:
        report = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.DecodeError:
        report = {}
    if "code" not in report and answer.status_code in _COME_AGAIN:
        return Unavailable(f"no service answers behind this address (status {answer.status_code}).", where=str(answer.url))
    if "code" not in report:
        return SystemFault(f"what answers there is no Wichtel service (status {answer.status_code}).", where=str(answer.url))
    return from_json(report)


def _retry_after(answer: httpx2.Response) -> float:
    given = answer.headers.get("Retry-After", "")
    return float(given) if given.isdecimal() else 0.0


def _given(query: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: codec.to_plain(value) for name, value in (query or {}).items() if value is not None}
