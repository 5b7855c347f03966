"""The event feed, in pages or as a stream that can be taken up again at any replica."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import AsyncIterator
from typing import Annotated

import anyio
from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from wichtel.app import App
from wichtel.domain import Unavailable
from wichtel.server.authentication import Services
from wichtel.server.idempotency import Route
from wichtel.server.wire import page, reply, returns
from wichtel.store import Event, Page, codec

log = logging.getLogger(__name__)

router = APIRouter(prefix="/events", tags=["events"], route_class=Route)

#: How often an idle stream looks for news, in seconds.
_POLL_SECONDS = 0.3
_BATCH = 500


class Newest:
    """The id of the newest event, which is asked for once for all streams of this process, however many there are.

    Args:
        app: Whose events.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._asked = -math.inf
        self._known = 0

    async def get(self) -> int:
        """As it was a moment ago, or is now."""
        if time.monotonic() - self._asked >= _POLL_SECONDS / 2:
            # At once, so that the others take what is known meanwhile.
            self._asked = time.monotonic()
            self._known = await to_thread.run_sync(self._ask)
        return self._known

    def _ask(self) -> int:
        with self._app.db.read() as tx:
            return tx.events.latest()


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


@router.get(":stream", response_class=EventSourceResponse)
async def stream(
    app: Services,
    request: Request,
    subject: Subject = None,
    cursor: Annotated[int, Query(ge=0, description="Only events after the one with this id.")] = 0,
    last_event_id: Annotated[int | None, Header(description="As `cursor`; what browsers send when they connect again.")] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Events as they happen, as server-sent events whose data are those of the list. It ends when the service stops."""
    after = cursor if last_event_id is None else last_event_id
    stopping, newest = request.app.state.stopping, request.app.state.newest_event
    while not stopping():
        try:
            latest = await newest.get()
            found = await to_thread.run_sync(_since, app, after, _BATCH, subject) if latest > after else []
        except Unavailable as error:
            # Half an answer is out. Its reader comes again, and is told then.
            log.warning("a stream of events ends: %s", error)
            return
        if latest > after:
            for event in found:
                after = event.id
                yield ServerSentEvent(raw_data=codec.encode(event).decode(), event=event.kind, id=str(event.id))
            if len(found) == _BATCH:
                continue
            # Ids grow in the order of commits: what follows comes later, whatever its subject.
            after = max(after, latest)
        await anyio.sleep(_POLL_SECONDS)


def _since(app: App, after: int, limit: int, subject: str | None) -> list[Event]:
    with app.db.read() as tx:
        return tx.events.since(after, limit, subject_prefix=subject)
