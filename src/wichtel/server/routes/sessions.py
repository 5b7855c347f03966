"""Logging in and out with a browser, and who one is. Only `me` is part of the API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from wichtel.app import App
from wichtel.domain import InvalidInput, NotPermitted, TooManyRequests
from wichtel.experiments import Visit
from wichtel.server import sessions
from wichtel.server.authentication import Caller, Services, Session
from wichtel.server.exchange import current
from wichtel.server.idempotency import Route
from wichtel.server.nouns import NounRouter
from wichtel.server.oidc import Provider, identified
from wichtel.server.problems import Unauthenticated
from wichtel.server.wire import raw_body, reply, returns
from wichtel.store import codec

#: Under /v1.
me = NounRouter(tags=["me"], route_class=Route)
#: For browsers.
router = APIRouter(include_in_schema=False)

_BODY_BYTES = 2**16
#: Between the click on a login by a provider and the return from there.
_LOGIN_SECONDS = 600
_LOGIN_COOKIE = "wichtel_login"
_NEXT_COOKIE = "wichtel_next"

_Body = Annotated[bytes, Depends(raw_body(_BODY_BYTES))]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogIn:
    """What a login shows."""

    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """The session of a request that is made with a cookie."""

    #: At the latest.
    expires: datetime
    #: Goes with every change, as header X-CSRF-Token.
    csrf_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """Who asks."""

    name: str
    #: ``user`` or ``service``.
    kind: str
    #: The home.
    team: str
    #: In the home team; admin everywhere.
    role: str
    #: Team → role, the home among them.
    teams: dict[str, str]
    #: What the token may be used for.
    scopes: tuple[str, ...]
    email: str | None
    #: None for a request with a token.
    session: LoggedIn | None


@me.get("/me", **returns(Me))
def get(app: Services, caller: Caller, session: Session) -> Response:
    """Who asks, with which roles; in a browser, also its session."""
    found = Me(
        name=caller.name,
        kind=caller.kind,
        team=caller.team,
        role=caller.role.name.lower(),
        teams={team: role.name.lower() for team, role in sorted(caller.teams.items())},
        scopes=tuple(sorted(caller.scopes)),
        email=caller.email,
        session=LoggedIn(expires=session.expires, csrf_token=session.csrf) if session else None,
    )
    return reply(found)


async def _knock() -> None:
    exchange = current()
    if exchange.limits.knock(exchange.address, None):
        raise TooManyRequests("too many logins failed from your address.", hint="Wait, and check the token.")


@router.post("/login", dependencies=[Depends(_knock)])
async def log_in(request: Request, app: Services, body: _Body) -> Response:
    """Begin a session with an access token, from a form or as JSON."""
    by_form = sessions.is_form(request)
    sessions.check_origin(request)
    fields = sessions.form(body) if by_form else {}
    if by_form and not fields.get("token"):
        raise InvalidInput("this needs an access token.", where="field token")
    token = fields["token"] if by_form else codec.decode(body, LogIn).token
    previous = request.cookies.get(sessions.COOKIE)
    try:
        cookie = await anyio.to_thread.run_sync(lambda: app.sessions.log_in(token, instead_of=previous))
    except NotPermitted as error:
        current().limits.knocked(current().address, None, good=False)
        raise Unauthenticated(error.message, hint=error.hint) from None
    visit = await anyio.to_thread.run_sync(app.sessions.find, cookie)
    assert visit is not None
    answer = _to_page(fields.get("next")) if by_form else reply(LoggedIn(expires=visit.expires, csrf_token=visit.csrf))
    return _entered(request, app, answer, cookie)


@router.post("/logout")
async def log_out(request: Request, app: Services, body: _Body) -> Response:
    """End the session of the browser."""
    cookie = request.cookies.get(sessions.COOKIE, "")
    by_form = sessions.is_form(request)
    visit: Visit | None = await anyio.to_thread.run_sync(app.sessions.find, cookie)
    if visit is not None:
        current().principal = visit.principal.name
        given = sessions.form(body).get(sessions.FIELD) if by_form else request.headers.get("x-csrf-token")
        sessions.check_csrf(request, visit, given)
        await anyio.to_thread.run_sync(app.sessions.log_out, cookie)
    answer = _to_page("/") if by_form else Response(status_code=204)
    sessions.clear_cookie(request, answer, sessions.COOKIE)
    return answer


@router.get("/login/oidc")
async def ask_provider(request: Request, app: Services, next: str | None = None) -> Response:  # noqa: A002 as browsers' addresses say it
    """Send the browser to the identity provider."""
    address, secret = await anyio.to_thread.run_sync(_provider(app).begin, _callback(request))
    answer = RedirectResponse(address, 303, {"Cache-Control": "no-store"})
    sessions.set_cookie(request, answer, _LOGIN_COOKIE, secret, seconds=_LOGIN_SECONDS)
    sessions.set_cookie(request, answer, _NEXT_COOKIE, sessions.local_path(next), seconds=_LOGIN_SECONDS)
    return answer


@router.get("/login/oidc/callback", dependencies=[Depends(_knock)])
async def back_from_provider(request: Request, app: Services) -> Response:
    """Begin a session of whom the identity provider vouches for."""
    secret, previous = request.cookies.get(_LOGIN_COOKIE, ""), request.cookies.get(sessions.COOKIE)
    callback, given = _callback(request), dict(request.query_params)

    def come_in() -> str:
        claims = _provider(app).finish(given, secret, callback)
        return app.sessions.begin(identified(app, claims), instead_of=previous)

    try:
        cookie = await anyio.to_thread.run_sync(come_in)
    except NotPermitted as error:
        current().limits.knocked(current().address, None, good=False)
        raise Unauthenticated(error.message, where=error.where, hint=error.hint) from None
    answer = _entered(request, app, _to_page(request.cookies.get(_NEXT_COOKIE)), cookie)
    for name in (_LOGIN_COOKIE, _NEXT_COOKIE):
        sessions.clear_cookie(request, answer, name)
    return answer


def _provider(app: App) -> Provider:
    return Provider.of(app.settings)


def _callback(request: Request) -> str:
    return f"{sessions.own_address(request)}/login/oidc/callback"


def _to_page(path: str | None) -> Response:
    return RedirectResponse(sessions.local_path(path), 303)


def _entered(request: Request, app: App, answer: Response, cookie: str) -> Response:
    sessions.set_cookie(request, answer, sessions.COOKIE, cookie, seconds=app.sessions.lifetime // timedelta(seconds=1))
    answer.headers["Cache-Control"] = "no-store"
    return answer
