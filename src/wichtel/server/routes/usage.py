"""How the service is used: the tables that heinzelmaennchen's section IV shows."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime
from starlette.responses import Response

from wichtel.experiments import CallUsage
from wichtel.server.authentication import Services
from wichtel.server.idempotency import Route
from wichtel.server.wire import everything, reply, returns
from wichtel.store import Page

router = APIRouter(prefix="/usage", tags=["usage"], route_class=Route)

Since = Annotated[AwareDatetime | None, Query(description="Only hours that began then or later.")]
Before = Annotated[AwareDatetime | None, Query(description="Only hours that began earlier.")]


@router.get("/requests", **returns(Page[CallUsage]))
def requests(app: Services, since: Since = None, before: Before = None) -> Response:
    """The paper's table I: how often each call was made, and how long it took. Requests of the last seconds may be missing."""
    return reply(everything(app.usage.requests(since, before)))
