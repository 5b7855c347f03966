"""Who reads a page: a browser with a session. Whoever has none is led to the login, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import Depends, Request
from starlette.responses import RedirectResponse, Response

from wichtel.app import App
from wichtel.domain import InvalidInput, NotPermitted
from wichtel.experiments import Principal, Visit
from wichtel.server import sessions
from wichtel.server.authentication import Services
from wichtel.server.exchange import current
from wichtel.server.limits import admitted
from wichtel.server.nouns import NounRouter
from wichtel.server.pages.rendering import html, is_partial, render
from wichtel.server.problems import Unauthenticated
from wichtel.server.wire import raw_body

#: Largest form.
_FORM_BYTES = 2**20
_MOST_FIELDS = 2_000


@dataclass(frozen=True, slots=True)
class Form:
    """What a browser sent with a form."""

    fields: dict[str, list[str]]

    def one(self, name: str) -> str:
        """The value of a field; empty if there is none."""
        return self.fields.get(name, [""])[-1]

    def all(self, name: str) -> list[str]:
        """The values of a field that may come several times."""
        return self.fields.get(name, [])


@dataclass(frozen=True, slots=True)
class PageReader:
    """One who reads a page."""

    request: Request
    app: App
    visit: Visit
    #: What was sent with a change; its CSRF token has been checked.
    form: Form

    @property
    def principal(self) -> Principal:
        """Who it is."""
        return self.visit.principal

    @property
    def partial(self) -> bool:
        """Whether a part of the page is asked for, by htmx."""
        return is_partial(self.request)

    def why_not(self, action: str, *, team: str | None = None, owner: str | None = None) -> str:
        """Why the reader may not do `action`; empty if they may. For a button's `disabled` and its title."""
        try:
            self.principal.permit(action, team=team, owner=owner)
        except NotPermitted as error:
            return str(error)
        return ""

    def latest_event(self) -> int:
        """Where the feed of events stands: a page that shows what was true then is told of what comes after."""
        with self.app.db.read() as tx:
            return tx.events.latest()

    def show(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page, or a part of one, from a template."""
        common = {"principal": self.principal, "csrf": self.visit.csrf, "reads": self}
        return html(self.request, render(self.request, template, common | values), status)

    def go(self, path: str) -> Response:
        """To a page of this service, after a change."""
        return RedirectResponse(sessions.local_path(path), 303)

    def prefer(self, answer: Response, name: str, value: str) -> None:
        """Have the browser remember what the reader likes, for a year."""
        answer.set_cookie(f"wichtel_{name}", value, max_age=31_536_000, path="/", samesite="lax", secure=sessions.is_secure(self.request))

    def preference(self, name: str) -> str:
        """What the browser remembers; empty if nothing."""
        return self.request.cookies.get(f"wichtel_{name}", "")


_Body = Annotated[bytes, Depends(raw_body(_FORM_BYTES))]


def _fields(body: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise InvalidInput(f"this is no form: {error}.", where="body") from None


def _known(request: Request, app: Services, body: _Body) -> PageReader:
    cookie = request.cookies.get(sessions.COOKIE)
    visit = app.sessions.find(cookie) if cookie else None
    if visit is None:
        raise Unauthenticated("the session is over." if cookie else "this page needs a login.", hint="Log in.")
    # For the bar at the top of a page that tells of an error.
    request.state.visit = visit
    form = Form(_fields(body))
    if current().changes:
        # For every page alike, so that none can forget it.
        current().principal = visit.principal.name
        sessions.check_csrf(request, visit, request.headers.get("x-csrf-token") or form.one(sessions.FIELD))
    return PageReader(request, app, visit, form)


# Without waiting for anything, so that the limits need no lock.
async def _reader(reader: Annotated[PageReader, Depends(_known)]) -> PageReader:
    await admitted(reader.principal)
    return reader


def page_router(prefix: str = "", **options: Any) -> NounRouter:
    """A router for pages; none of them is part of the API."""
    return NounRouter(prefix=prefix, include_in_schema=False, **options)


#: Who reads, as a handler's argument.
Reader = Annotated[PageReader, Depends(_reader)]
