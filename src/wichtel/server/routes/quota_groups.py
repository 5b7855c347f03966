"""Quota groups and limits: how much teams, users and protocols may have at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.responses import Response

from wichtel.domain import ALL, Limit, LimitKind, QuotaGroup
from wichtel.server.authentication import Caller, Services
from wichtel.server.idempotency import Route, conditional
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import everything, json_body, nothing, reply, returns
from wichtel.store import Page

router = NounRouter(prefix="/quota-groups", tags=["quota groups"], route_class=Route)
limits = NounRouter(prefix="/limits", tags=["limits"], route_class=Route)


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseGroup:
    """Why a group is paused."""

    #: In words; shown to those who wait.
    reason: str = ""


@router.put("", **returns(QuotaGroup, accepts=QuotaGroup))
@conditional("quota groups", lambda app, group: app.quotas.get(group.name))
def put(app: Services, caller: Caller, group: Annotated[QuotaGroup, Depends(json_body(QuotaGroup))]) -> Response:
    """Set a team's share; needs the role admin. Whether the group is paused stays as it is."""
    return reply(app.quotas.put(group, caller))


@router.get("", **returns(Page[QuotaGroup]))
def list_(app: Services) -> Response:
    """The shares that somebody set."""
    return reply(everything(app.quotas.list()))


@router.get("/{group:path}", **returns(QuotaGroup))
def get(app: Services, group: str) -> Response:
    """The share that was set for a group."""
    return reply(app.quotas.get(group))


@router.delete("/{group:path}", status_code=204)
@conditional("quota groups", lambda app, group: app.quotas.get(group))
def delete(app: Services, caller: Caller, group: str) -> Response:
    """Forget what was set for a group, which has the default share then; needs the role admin."""
    app.quotas.delete(group, caller)
    return nothing()


@router.post("/{group:path}:pause", **returns(QuotaGroup, accepts=PauseGroup))
def pause(app: Services, caller: Caller, group: str, why: Annotated[PauseGroup, Depends(json_body(PauseGroup))]) -> Response:
    """Have nothing of a group start from now on; what was started goes on. Needs the role admin."""
    return reply(app.quotas.pause(group, why.reason, caller))


@router.post("/{group:path}:resume", **returns(QuotaGroup))
def resume(app: Services, caller: Caller, group: str) -> Response:
    """Let a group start again; needs the role admin."""
    return reply(app.quotas.resume(group, caller))


@limits.put("", name="put", **returns(Limit, accepts=Limit))
def put_limit(app: Services, caller: Caller, limit: Annotated[Limit, Depends(json_body(Limit))]) -> Response:
    """Set a limit of a user or protocol, in the place of an earlier one; needs the role admin."""
    return reply(app.quotas.put_limit(limit, caller))


@limits.get("", name="list", **returns(Page[Limit]))
def list_limits(app: Services) -> Response:
    """All limits."""
    return reply(everything(app.quotas.limits()))


@limits.delete("", name="delete", status_code=204)
def delete_limit(app: Services, caller: Caller, kind: LimitKind, name: str, quota_group: str = ALL) -> Response:
    """Lift a limit; needs the role admin."""
    app.quotas.delete_limit(quota_group, kind, name, caller)
    return nothing()
