"""The event feed."""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wichtel.client.connection import Connection, NoService
from wichtel.domain import Unavailable
from wichtel.store import codec

if TYPE_CHECKING:
    from wichtel.store import Event

#: How long a service may be gone while somebody follows it, in seconds.
_GONE = 120.0
#: Events asked for at once.
_PAGE = 1000


class Events:
    """What happened, in order."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, *, subject: str | None = None, after: int = 0, limit: int | None = 100) -> builtins.list[Event]:
        """Events after the one with id `after`, whose subject begins with `subject`; at most `limit`, None for all there are."""
        from wichtel.store import Event, Page

        found: builtins.list[Event] = []
        while limit is None or len(found) < limit:
            size = _PAGE if limit is None else min(limit - len(found), _PAGE)
            page = self._connection.get(Page[Event], "/v1/events", subject=subject, cursor=after, limit=size).items
            found += page
            if len(page) < size:
                break
            after = page[-1].id
        return found

    def follow(self, *, subject: str | None = None, after: int = 0) -> Iterator[Event]:
        """Events as they happen, for ever. A stream that breaks is taken up where it broke, so none is missed and none comes twice.

        Args:
            subject: Only those whose subject begins so, such as ``experiment/e-1``.
            after: Only those after the one with this id; 0 for all there ever were.

        Raises:
            NoService: the service is gone, and for two minutes; or it was never there.
            Unavailable: it has said for two minutes that it is to be asked again later.
        """
        from wichtel.store import Event

        heard = time.monotonic()
        found = False
        while True:
            try:
                with self._connection.stream("/v1/events:stream", query={"subject": subject, "cursor": after}) as source:
                    heard, found = time.monotonic(), True
                    for message in source:
                        event = codec.read(message.data, Event)
                        after = event.id
                        heard = time.monotonic()
                        yield event
            except (NoService, Unavailable) as error:
                if time.monotonic() - heard > _GONE or not (found or isinstance(error, Unavailable)):
                    raise
            time.sleep(0.5)
