"""Access tokens. None is ever told again: only its hash is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query
from starlette.responses import Response

from wichtel.experiments import NewToken
from wichtel.server.authentication import Caller, Services
from wichtel.server.idempotency import Route
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import everything, json_body, nothing, reply, returns
from wichtel.store import Page, TokenInfo

router = NounRouter(prefix="/tokens", tags=["tokens"], route_class=Route)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateToken:
    """Whom a token is for, and what."""

    #: The user or service account; by default whoever asks. Admins make tokens for others.
    name: str | None = None
    #: viewer, editor, approver or admin: makes a principal of that name, if there is none yet.
    role: str | None = None
    #: Its home, then; default if absent.
    team: str | None = None
    #: read, experiments:write, models:write, admin; none for all that the principal may do.
    scopes: tuple[str, ...] = ()
    #: What it is for, in words.
    label: str = ""
    #: With a time zone; None for never.
    expires: datetime | None = None


@router.post("", **returns(NewToken, status=201, accepts=CreateToken))
def create(app: Services, caller: Caller, request: Annotated[CreateToken, Depends(json_body(CreateToken))]) -> Response:
    """Make a token. For oneself, with no more rights than the token that asks; for others it takes the role admin."""
    made = app.access.make_token(
        caller,
        request.name,
        role=request.role,
        team=request.team,
        scopes=request.scopes,
        label=request.label,
        expires=request.expires,
    )
    return reply(made, 201)


@router.get("", **returns(Page[TokenInfo]))
def list_(
    app: Services,
    caller: Caller,
    principal: Annotated[str | None, Query(description="Whose; by default one's own.")] = None,
    everyone: Annotated[bool, Query(description="Those of all principals.")] = False,
) -> Response:
    """Tokens, oldest first. Those of others are for admins."""
    return reply(everything([TokenInfo.of(token) for token in app.access.tokens(caller, principal, everyone=everyone)]))


@router.delete("/{token}", status_code=204)
def revoke(app: Services, caller: Caller, token: str) -> Response:
    """End a token, by its id, at once and everywhere, with the sessions that were made with it."""
    app.access.revoke_token(token, caller)
    return nothing()
