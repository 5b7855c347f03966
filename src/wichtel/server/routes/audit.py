"""The audit log."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from pydantic import AwareDatetime
from starlette.responses import Response

from wichtel.server.authentication import Caller, Services
from wichtel.server.idempotency import Route
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import reply, returns
from wichtel.store import Entry, Page

router = NounRouter(prefix="/audit", tags=["audit"], route_class=Route)


@router.get("", **returns(Page[Entry]))
def list_(
    app: Services,
    caller: Caller,
    principal: str | None = None,
    subject: Annotated[str | None, Query(description="What it was done to.")] = None,
    action: str | None = None,
    outcome: Literal["done", "denied"] | None = None,
    created_from: AwareDatetime | None = None,
    created_before: AwareDatetime | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
) -> Response:
    """Who changed what, and what was denied to whom, newest first. Admins see all; others their own and what concerns their teams."""
    found = app.audit.list(
        caller,
        principal=principal,
        subject=subject,
        action=action,
        outcome=outcome,
        since=created_from,
        until=created_before,
        limit=limit,
        cursor=cursor,
    )
    return reply(found)
