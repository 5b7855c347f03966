"""How the service is used: the tables that heinzelmaennchen's section IV shows."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import AwareDatetime
from starlette.responses import Response

from wichtel.experiments import CallUsage, ProtocolUsage, StatusUsage, TimeUsage, UsageReport
from wichtel.server.authentication import Services
from wichtel.server.idempotency import Route
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import everything, reply, returns
from wichtel.store import Page

router = NounRouter(prefix="/usage", tags=["usage"], route_class=Route)

Since = Annotated[AwareDatetime | None, Query(description="Only hours that began then or later.")]
Before = Annotated[AwareDatetime | None, Query(description="Only hours that began earlier.")]
FinishedSince = Annotated[AwareDatetime | None, Query(description="Only experiments that finished then or later.")]
FinishedBefore = Annotated[AwareDatetime | None, Query(description="Only experiments that finished earlier.")]
Team = Annotated[str | None, Query(description="Only experiments of this team.")]


@router.get("/requests", **returns(Page[CallUsage]))
def requests(app: Services, since: Since = None, before: Before = None) -> Response:
    """The paper's table I: how often each call was made, and how long it took. Requests of the last seconds may be missing."""
    return reply(everything(app.usage.requests(since, before)))


@router.get("", **returns(UsageReport))
def report(app: Services, since: FinishedSince = None, before: FinishedBefore = None, team: Team = None) -> Response:
    """The tables I to IV and their totals. Table I is of the requests of the same time, whichever team made them."""
    return reply(app.statistics.report(since=since, before=before, team=team))


@router.get("/statuses", **returns(Page[StatusUsage]))
def statuses(app: Services, since: FinishedSince = None, before: FinishedBefore = None, team: Team = None) -> Response:
    """The paper's table II: users, experiments and trained models by status."""
    return reply(everything(app.statistics.report(since=since, before=before, team=team).statuses))


@router.get("/times", **returns(Page[TimeUsage]))
def times(app: Services, since: FinishedSince = None, before: FinishedBefore = None, team: Team = None) -> Response:
    """The paper's table III: median times of queuing, scheduling and execution by status."""
    return reply(everything(app.statistics.report(since=since, before=before, team=team).times))


@router.get("/protocols", **returns(Page[ProtocolUsage]))
def protocols(app: Services, since: FinishedSince = None, before: FinishedBefore = None, team: Team = None) -> Response:
    """The paper's table IV: what came of each protocol."""
    return reply(everything(app.statistics.report(since=since, before=before, team=team).protocols))
