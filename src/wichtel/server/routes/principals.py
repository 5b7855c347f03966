"""Principals: users and service accounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.responses import Response

from wichtel.experiments import NewPrincipal
from wichtel.server.authentication import Caller, Services
from wichtel.server.idempotency import Route
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import everything, json_body, reply, returns
from wichtel.store import Page, Principal

router = NounRouter(prefix="/principals", tags=["principals"], route_class=Route)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePrincipal:
    """What is to be otherwise; what is absent stays."""

    #: The home.
    team: str | None = None
    #: viewer, editor, approver; or admin, of the whole service.
    role: str | None = None
    #: An empty one takes it away.
    email: str | None = None


@router.post("", **returns(Principal, status=201, accepts=NewPrincipal))
def add(app: Services, caller: Caller, request: Annotated[NewPrincipal, Depends(json_body(NewPrincipal))]) -> Response:
    """Make one."""
    return reply(app.principals.add(request, caller), 201)


@router.get("", **returns(Page[Principal]))
def list_(app: Services, caller: Caller) -> Response:
    """All of them, by name. E-mail addresses are shown to admins, and one's own."""
    return reply(everything(app.principals.list(caller)))


@router.get("/{name}", **returns(Principal))
def get(app: Services, caller: Caller, name: str) -> Response:
    """One of them."""
    return reply(app.principals.get(name, caller))


@router.patch("/{name}", **returns(Principal, accepts=ChangePrincipal))
def change(app: Services, caller: Caller, name: str, request: Annotated[ChangePrincipal, Depends(json_body(ChangePrincipal))]) -> Response:
    """Set its home, its role there, or its e-mail address."""
    return reply(app.principals.change(name, caller, team=request.team, role=request.role, email=request.email))


@router.post("/{name}:disable", **returns(Principal))
def disable(app: Services, caller: Caller, name: str) -> Response:
    """Let it come in no more, at once and everywhere."""
    return reply(app.principals.disable(name, caller))


@router.post("/{name}:enable", **returns(Principal))
def enable(app: Services, caller: Caller, name: str) -> Response:
    """Let it come in again, with the tokens it had."""
    return reply(app.principals.enable(name, caller))
