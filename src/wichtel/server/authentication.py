"""Who asks: the bearer token of a request, or the session of its cookie, and the principal that it stands for."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from wichtel.app import App
from wichtel.domain import NotPermitted
from wichtel.experiments import Principal, Visit
from wichtel.server.exchange import current
from wichtel.server.problems import Unauthenticated
from wichtel.server.sessions import COOKIE, check_csrf

_HINT = "Send 'Authorization: Bearer TOKEN'; `wichtel serve` prints the first token, POST /v1/tokens makes more."

_bearer = HTTPBearer(auto_error=False, description="An access token; `wichtel serve` prints the first one.")


# Without waiting for anything, so that it needs no thread of its own.
async def _services(request: Request) -> App:
    app = request.app.state.services
    assert isinstance(app, App)
    return app


def _principal(
    request: Request,
    app: Annotated[App, Depends(_services)],
    token: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    cookie = request.cookies.get(COOKIE)
    if token is not None and token.credentials:
        try:
            return app.access.authenticate(token.credentials)
        except NotPermitted as error:
            raise Unauthenticated(error.message, where=error.where, hint=error.hint or _HINT) from None
    if not cookie:
        raise Unauthenticated("this needs an access token.", hint=_HINT)
    visit = app.sessions.find(cookie)
    if visit is None:
        raise Unauthenticated("the session is over.", hint="Log in again.")
    request.state.visit = visit
    if current().changes:
        current().principal = visit.principal.name
        check_csrf(request, visit, request.headers.get("x-csrf-token"))
    return visit.principal


async def _visit(request: Request) -> Visit | None:
    return getattr(request.state, "visit", None)


#: The app's services, as a handler's argument.
Services = Annotated[App, Depends(_services)]
#: Who asks, as a handler's argument.
Caller = Annotated[Principal, Depends(_principal)]
#: The session that the request is made in, if it is one, as a handler's argument; stands after a `Caller`.
Session = Annotated[Visit | None, Depends(_visit)]
