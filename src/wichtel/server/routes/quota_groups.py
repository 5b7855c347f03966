"""Quota groups: the teams' shares."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from wichtel.domain import QuotaGroup
from wichtel.server.authentication import Caller, Services
from wichtel.server.idempotency import Route
from wichtel.server.wire import everything, json_body, reply, returns
from wichtel.store import Page

router = APIRouter(prefix="/quota-groups", tags=["quota groups"], route_class=Route)


@router.put("", **returns(QuotaGroup, accepts=QuotaGroup))
def put(app: Services, caller: Caller, group: Annotated[QuotaGroup, Depends(json_body(QuotaGroup))]) -> Response:
    """Set a team's share."""
    return reply(app.experiments.put_quota_group(group, caller))


@router.get("", **returns(Page[QuotaGroup]))
def list_(app: Services) -> Response:
    """The shares that somebody set."""
    return reply(everything(app.experiments.quota_groups()))
