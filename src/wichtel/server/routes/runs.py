"""Runs, what they measured, what they printed. A run's id may hold slashes, so what belongs to a run is asked for by a parameter."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from wichtel.domain import Measurement, Run, RunState
from wichtel.server.authentication import Caller, Services
from wichtel.server.idempotency import Route
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import page, reply, returns, text
from wichtel.store import Page

router = NounRouter(tags=["runs"], route_class=Route)


@router.get("/runs", **returns(Page[Run]))
def list_(
    app: Services,
    owner: Annotated[str | None, Query(description="Such as study/s-1.")] = None,
    state: RunState | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
) -> Response:
    """Runs of an owner, or in a state."""
    return reply(page(app.runs.list(owner, state, limit + 1, cursor), limit, lambda run: run.spec.id))


@router.post("/runs/{run:path}:cancel", **returns(Run))
def cancel(app: Services, caller: Caller, run: str) -> Response:
    """End it now."""
    return reply(app.runs.cancel(run, caller))


@router.get("/runs/{run:path}", **returns(Run))
def get(app: Services, run: str) -> Response:
    """One run with its result or its error."""
    return reply(app.runs.get(run))


@router.get("/measurements", **returns(Page[Measurement]))
def measurements(
    app: Services,
    run: str,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    cursor: str | None = None,
) -> Response:
    """What a run reported, in the order of steps."""
    return reply(app.runs.measurements(run, limit, cursor))


@router.get("/logs", **returns(None, media_type="text/plain"))
def log(app: Services, run: str) -> Response:
    """What a run printed."""
    return text(app.runs.log(run))
