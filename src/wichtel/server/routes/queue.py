"""What waits, and why."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from wichtel.domain import Queue, Waiting
from wichtel.server.authentication import Services
from wichtel.server.idempotency import Route
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import reply, returns

router = NounRouter(tags=["queue"], route_class=Route)


@router.get("/queue", **returns(Queue))
def get(
    app: Services,
    group: Annotated[str | None, Query(description="This quota group alone.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
) -> Response:
    """How the quota groups stand, and which experiments wait for their start, group by group in the order in which they start."""
    return reply(app.waits.queue(group=group, limit=limit, cursor=cursor))


@router.get("/experiments/{experiment}/waiting", **returns(Waiting))
def why(app: Services, experiment: str) -> Response:
    """Why an experiment waits: for its start, or for workers."""
    return reply(app.waits.why(experiment))
