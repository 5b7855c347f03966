"""The event feed, in pages or as a stream that can be taken up again at any replica."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from anyio import to_thread
from fastapi import Header, Query, Request
from starlette.responses import Response

from wichtel.app import App
from wichtel.domain import Unavailable
from wichtel.server.authentication import Services
from wichtel.server.idempotency import Route
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import page, reply, returns
from wichtel.store import Event, Page, codec

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

log = logging.getLogger(__name__)

router = NounRouter(prefix="/events", tags=["events"], route_class=Route)

#: How often news are looked for, in seconds.
_POLL_SECONDS = 0.3
#: An idle stream says so, lest a proxy take it for dead.
_PING_SECONDS = 15.0
_BATCH = 500
#: After what time browsers connect again.
_AGAIN_MILLISECONDS = 500


class Newest:
    """The id of the newest event. One task asks for it on behalf of all streams of this process, which sleep until there is one.

    Args:
        app: Whose events.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._streams = 0
        self._task: asyncio.Task[None] | None = None
        self._news: asyncio.Future[Unavailable | None] | None = None
        #: As it was a moment ago.
        self.known = 0

    @contextmanager
    def watched(self, stopping: Callable[[], bool]) -> Iterator[None]:
        """While a stream is open."""
        self._streams += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch(stopping))
        try:
            yield
        finally:
            self._streams -= 1

    @property
    def news(self) -> asyncio.Future[Unavailable | None]:
        """Done when a newer one is known or the service stops; with the fault, if the database does not answer."""
        if self._news is None or self._news.done():
            self._news = asyncio.get_running_loop().create_future()
        return self._news

    async def _watch(self, stopping: Callable[[], bool]) -> None:
        while self._streams and not stopping():
            try:
                newest = await to_thread.run_sync(self._ask)
            except Unavailable as error:
                self._tell(error)
            else:
                if newest != self.known:
                    self.known = newest
                    self._tell()
            await asyncio.sleep(_POLL_SECONDS)
        self._tell()

    def _tell(self, fault: Unavailable | None = None) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(fault)

    def _ask(self) -> int:
        with self._app.db.read() as tx:
            return tx.events.latest()


class _Stream(Response):
    """An answer that goes on. It has few parts, since every page that somebody looks at holds one."""

    media_type = "text/event-stream"

    def __init__(self, app: App, request: Request, after: int, subject: str | None, named: bool) -> None:
        # No length is known; and proxies are told not to keep what there is.
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._app = app
        self._newest: Newest = request.app.state.newest_event
        self._stopping: Callable[[], bool] = request.app.state.stopping
        self._after = after
        self._subject = subject
        self._named = named

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer until the reader goes or the service stops."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        gone = asyncio.create_task(_until_gone(receive))
        try:
            with self._newest.watched(self._stopping):
                await self._go_on(gone, send)
        finally:
            gone.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def _go_on(self, gone: asyncio.Task[None], send: Send) -> None:
        newest, said = self._newest, time.monotonic()
        # When this replica is gone, another is asked soon rather than in the three seconds of browsers. It is a line of the first event.
        await send({"type": "http.response.body", "body": b"retry: %d\n" % _AGAIN_MILLISECONDS, "more_body": True})
        while not gone.done() and not self._stopping():
            news, latest, told = newest.news, newest.known, b""
            if latest > self._after:
                try:
                    found = await to_thread.run_sync(_since, self._app, self._after, _BATCH, self._subject)
                except Unavailable as error:
                    return _ends(error)
                told = b"".join(_told(event, self._named) for event in found)
                # Ids grow in the order of commits: what follows comes later, whatever its subject.
                self._after = found[-1].id if len(found) == _BATCH else max([latest, *(event.id for event in found[-1:])])
            if not told and time.monotonic() - said >= _PING_SECONDS:
                told = b": nothing new\n\n"
            if told:
                await send({"type": "http.response.body", "body": told, "more_body": True})
                said = time.monotonic()
            if self._after < newest.known:
                continue
            await asyncio.wait((gone, news), timeout=_PING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if news.done() and (fault := news.result()) is not None:
                return _ends(fault)
        return None


def _ends(fault: Unavailable) -> None:
    # Half an answer is out. Its reader comes again, and is told then.
    log.warning("a stream of events ends: %s", fault)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _told(event: Event, named: bool) -> bytes:
    name = b"event: %s\n" % event.kind.encode() if named else b""
    # JSON has no line breaks of its own.
    return name + b"data: %s\nid: %d\n\n" % (codec.encode(event), event.id)


Subject = Annotated[str | None, Query(description="Only events whose subject begins so, such as experiment/e-1.")]


@router.get("", **returns(Page[Event]))
def list_(
    app: Services,
    subject: Subject = None,
    cursor: Annotated[int, Query(ge=0, description="Only events after the one with this id.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Events in the order in which they happened."""
    return reply(page(_since(app, cursor, limit + 1, subject), limit, lambda event: str(event.id)))


_ITEM = {
    "type": "object",
    "properties": {"data": {"type": "string"}, "event": {"type": "string"}, "id": {"type": "string"}},
}


@router.get(":stream", response_class=Response, responses={200: {"content": {"text/event-stream": {"itemSchema": _ITEM}}}})
async def stream(
    app: Services,
    request: Request,
    subject: Subject = None,
    cursor: Annotated[int, Query(ge=0, description="Only events after the one with this id.")] = 0,
    named: Annotated[bool, Query(description="If not, an event's kind is in its data only: browsers hear only names they know.")] = True,
    last_event_id: Annotated[int | None, Header(description="As `cursor`; what browsers send when they connect again.")] = None,
) -> Response:
    """Events as they happen, as server-sent events whose data are those of the list. It ends when the service stops."""
    return _Stream(app, request, cursor if last_event_id is None else last_event_id, subject, named)


def _since(app: App, after: int, limit: int, subject: str | None) -> list[Event]:
    with app.db.read() as tx:
        return tx.events.since(after, limit, subject_prefix=subject)
