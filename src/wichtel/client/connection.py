"""One service and how to call it: addresses, token, retries, and errors as they were raised over there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any, ClassVar, TypeVar

import httpx2
import msgspec

from wichtel.domain import InvalidInput, SystemFault, WichtelError
from wichtel.domain.errors import from_json
from wichtel.store import Page, codec

T = TypeVar("T")

#: Half of the wait before the second attempt; each further wait is twice as long.
_PAUSE_SECONDS = 0.1
#: Adding a model or a dataset is answered when the work is done.
_TIMEOUT = httpx2.Timeout(10.0, read=600.0)
#: A live stream says something at least every 15 seconds.
_STREAM_TIMEOUT = httpx2.Timeout(10.0, read=45.0)


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
        again: bool | None = None,
    ) -> httpx2.Response:
        """Call and return the answer of a success.

        Args:
            method: HTTP method.
            path: Below the service's address.
            query: Parameters; those that are None are left out.
            body: Sent as JSON.
            content: Sent as it is, in the place of `body`.
            again: Whether doing it twice is doing it once, so that a lost answer may be asked for again; by default all but POST.

        Raises:
            NoService: nothing answers.
            WichtelError: what the service raised.
        """
        again = method != "POST" if again is None else again
        headers = {"Content-Type": "application/json"} if body is not None else {}
        data = codec.encode(body) if body is not None else content
        for attempt in count(1):
            try:
                answer = self._http.request(method, path, params=_given(query), content=data, headers=headers)
            except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
                raise InvalidInput(f"this is no address of a service: {error}", where=self.url) from None
            except httpx2.TransportError as error:
                # Without a connection nothing was sent, so trying again cannot do it twice; but a service that is not there is told soon.
                unsent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
                if attempt >= (2 if unsent else 4 if again else 1):
                    raise self._no_service(error) from None
                time.sleep(_PAUSE_SECONDS * 2**attempt)
            else:
                if not answer.is_success:
                    raise problem(answer)
                return answer
        raise AssertionError("the last attempt returns or raises")

    def get(self, kind: type[T], path: str, **query: Any) -> T:
        """GET one `kind`."""
        return codec.read(self.call("GET", path, query=query).content, kind)

    def pages(self, kind: Any, path: str, limit: int | None, **query: Any) -> list[Any]:
        """GET a list of `kind`, page after page, up to `limit` of them; None for all."""
        found: list[Any] = []
        cursor: str | None = None
        size = 1000 if limit is None else min(limit, 1000)
        while True:
            page = self.get(Page[kind], path, **query, limit=size, cursor=cursor)
            found.extend(page.items)
            cursor = page.cursor
            if cursor is None or (limit is not None and len(found) >= limit):
                return found[:limit]

    def all(self, kind: type[T], path: str, **query: Any) -> list[T]:
        """GET a list of `kind` that comes in one piece."""
        return list(self.get(Page[kind], path, **query).items)  # type: ignore[valid-type]

    @contextmanager
    def stream(self, path: str, *, query: Mapping[str, Any], last: int | None) -> Iterator[httpx2.EventSource]:
        """Server-sent events."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(last)} if last is not None else {})
        try:
            with self._http.stream("GET", path, params=_given(query), headers=headers, timeout=_STREAM_TIMEOUT) as answer:
                if not answer.is_success:
                    answer.read()
                    raise problem(answer)
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
    if "code" not in report:
        return SystemFault(f"what answers there is no Wichtel service (status {answer.status_code}).", where=str(answer.url))
    return from_json(report)


def _given(query: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: codec.to_plain(value) for name, value in (query or {}).items() if value is not None}
