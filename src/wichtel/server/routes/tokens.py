"""Access tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from wichtel.server.authentication import Caller, Services
from wichtel.server.idempotency import Route
from wichtel.server.wire import json_body, reply, returns

router = APIRouter(prefix="/tokens", tags=["tokens"], route_class=Route)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateToken:
    """Whom a token is for."""

    #: The user's or service account's name.
    name: str
    #: viewer, editor, approver or admin.
    role: str
    team: str = "default"
    #: With a time zone; None for never.
    expires: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token, told this once: only its hash is kept."""

    token: str


@router.post("", **returns(Token, status=201, accepts=CreateToken))
def create(app: Services, caller: Caller, request: Annotated[CreateToken, Depends(json_body(CreateToken))]) -> Response:
    """Make a token. Needs the role admin."""
    token = app.access.create_token(caller, request.name, role=request.role, team=request.team, expires=request.expires)
    return reply(Token(token=token), 201)
