"""What is said of a request while it is answered: ids in the log, a span, and, if the replica drains, that its connection is not kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

from wichtel.domain.doing import doing
from wichtel.server.exchange import current

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Too many and of no interest; a scrape and a look of the load balancer each.
_UNTOLD = frozenset({"/healthz", "/readyz", "/metrics"})


class Observed:
    """Says what is done. Stands inside of `RequestIds`, which opens the exchange.

    Args:
        app: What answers.
        draining: Whether this replica is about to stop.
    """

    def __init__(self, app: ASGIApp, draining: Callable[[], bool]) -> None:
        self.app = app
        self._draining = draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._draining():
                    # A connection that is kept would break in somebody's hands when this process stops.
                    MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        if scope["path"] in _UNTOLD:
            await self.app(scope, receive, send_and_note)
            return
        exchange = current()
        with doing(exchange.method, exchange.headers, request_id=exchange.request_id) as words:
            try:
                await self.app(scope, receive, send_and_note)
            finally:
                route = getattr(scope.get("route"), "path", "")
                words.update({"route": route or "other", "status": str(status or 500)})
                if exchange.principal:
                    words["principal"] = exchange.principal
