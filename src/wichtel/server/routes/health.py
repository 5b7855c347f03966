"""Whether the process lives, and whether it can do its work. For load balancers: no token."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from wichtel.server.authentication import Services
from wichtel.server.idempotency import Route
from wichtel.server.wire import reply, returns

router = APIRouter(tags=["service"], route_class=Route)


@router.get("/healthz", **returns(dict[str, str]))
def healthz() -> Response:
    """The process answers."""
    return reply({"status": "ok"})


@router.get("/readyz", **returns(dict[str, bool]))
def readyz(app: Services) -> Response:
    """Each part and whether it is ready; 503 unless all are."""
    parts = app.ready()
    return reply(parts, 200 if all(parts.values()) else 503)
