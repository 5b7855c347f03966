"""The way in."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from wichtel.server import sessions
from wichtel.server.authentication import Services
from wichtel.server.pages.errors import login_values
from wichtel.server.pages.reader import page_router
from wichtel.server.pages.rendering import html, render

router = page_router()


@router.get("/login")
def login(request: Request, app: Services, next: str = "/") -> Response:  # noqa: A002 as browsers' addresses say it
    """The form; whoever is in already goes on."""
    wanted = sessions.local_path(next)
    cookie = request.cookies.get(sessions.COOKIE)
    if cookie and app.sessions.find(cookie) is not None:
        return RedirectResponse(wanted, 303)
    values = {"wanted": wanted, "problem": None, "pointed": ("", ""), **login_values(request)}
    return html(request, render(request, "login.html", values))
