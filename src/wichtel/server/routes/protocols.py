"""Protocols: what experiments can do."""

from __future__ import annotations

from starlette.responses import Response

from wichtel.protocols import ProtocolInfo
from wichtel.server.authentication import Services
from wichtel.server.idempotency import Route
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import everything, reply, returns
from wichtel.store import Page

router = NounRouter(prefix="/protocols", tags=["protocols"], route_class=Route)


@router.get("", **returns(Page[ProtocolInfo]))
def list_(app: Services) -> Response:
    """All protocols with their parameters."""
    return reply(everything(app.protocols.list()))


@router.get("/{name}", **returns(ProtocolInfo))
def get(app: Services, name: str) -> Response:
    """One protocol."""
    return reply(app.protocols.get(name))
