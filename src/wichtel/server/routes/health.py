"""Whether the process lives, and whether it can do its work, for load balancers: no token. How the whole service stands: with one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from wichtel.domain.health import SystemHealth
from wichtel.server.authentication import Services, _principal
from wichtel.server.idempotency import Route
from wichtel.server.metrics import MEDIA_TYPE
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import reply, returns

router = NounRouter(tags=["service"], route_class=Route)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether a replica is to be sent requests."""

    #: ``draining``: it answers still, and stops soon.
    status: Literal["ready", "draining", "not ready"]
    #: Part → whether it can do its work.
    parts: dict[str, bool]


# Without a thread, of which a busy process may have none left.
@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", **returns(dict[str, str]))
async def healthz() -> Response:
    """The process answers."""
    return reply({"status": "ok"})


_READINESS = returns(Readiness)
_READINESS["responses"][503] = {**_READINESS["responses"][200], "description": "Not to be sent requests"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", **_READINESS)
def readyz(app: Services) -> Response:
    """Whether requests may be sent here, and which part can do its work; 503 while it drains, or unless all can."""
    parts = app.ready()
    status: Literal["ready", "draining", "not ready"] = "ready" if all(parts.values()) else "not ready"
    found = Readiness(status="draining" if app.draining else status, parts=parts)
    return reply(found, 200 if found.status == "ready" else 503)


@router.get("/metrics", dependencies=[Depends(_principal)], **returns(None, media_type="text/plain"))
def metrics(request: Request) -> Response:
    """The figures of this replica and of the service, for Prometheus; its ``authorization`` takes a token, of any role."""
    return Response(request.app.state.metrics.render(), media_type=MEDIA_TYPE)


system = NounRouter(prefix="/health", tags=["health"], route_class=Route)


@system.get("", **returns(SystemHealth))
def get(app: Services) -> Response:
    """How the whole service stands: replicas, leaders, what waits, workers, jobs, the database, and what to look at."""
    return reply(app.health.get())
