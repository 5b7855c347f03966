"""Teams. A name may hold slashes, so what belongs to a team is asked for by a parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.responses import Response

from wichtel.server.authentication import Caller, Services
from wichtel.server.idempotency import Route
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import everything, json_body, nothing, reply, returns
from wichtel.store import Member, Page, Team

router = NounRouter(tags=["teams"], route_class=Route)


@dataclass(frozen=True, slots=True, kw_only=True)
class PutTeam:
    """A team as it is to be."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PutMember:
    """A role in a team that is not the principal's home."""

    team: str
    principal: str
    #: viewer, editor or approver.
    role: str


@router.put("/teams", **returns(Team, accepts=PutTeam))
def put(app: Services, caller: Caller, request: Annotated[PutTeam, Depends(json_body(PutTeam))]) -> Response:
    """Make a team, or describe it anew."""
    return reply(app.teams.put(request.name, request.description, caller))


@router.get("/teams", **returns(Page[Team]))
def list_(app: Services) -> Response:
    """All teams, by name."""
    return reply(everything(app.teams.list()))


@router.get("/teams/{name:path}", **returns(Team))
def get(app: Services, name: str) -> Response:
    """One team."""
    return reply(app.teams.get(name))


@router.get("/members", **returns(Page[Member]))
def members(app: Services, team: str) -> Response:
    """Who has a role in a team, by name."""
    return reply(everything(app.teams.members(team)))


@router.put("/members", **returns(Member, accepts=PutMember))
def put_member(app: Services, caller: Caller, request: Annotated[PutMember, Depends(json_body(PutMember))]) -> Response:
    """Give somebody a role in a team that is not their home."""
    return reply(app.teams.put_member(request.team, request.principal, request.role, caller))


@router.delete("/members", status_code=204)
def remove_member(app: Services, caller: Caller, team: str, principal: str) -> Response:
    """Take it away."""
    app.teams.remove_member(team, principal, caller)
    return nothing()
