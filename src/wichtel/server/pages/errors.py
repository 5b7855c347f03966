"""Errors as pages: what happened, where, and what to do, for people; programs are told the same as a problem report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

import msgspec
from starlette.responses import RedirectResponse, Response

from wichtel.server import sessions
from wichtel.server.pages.rendering import html, is_partial, render

if TYPE_CHECKING:
    from starlette.requests import Request

    from wichtel.domain import WichtelError


def answer(request: Request, report: Response, error: WichtelError | None = None) -> Response:
    """`report`, a problem report; or a page that says the same, if it is a browser that asks for a page.

    Args:
        request: Which could not be done.
        report: What programs are told.
        error: What it is about; None for a fault.
    """
    if not _wants_page(request):
        return report
    problem = msgspec.json.decode(bytes(report.body))
    if report.status_code == 401 and request.url.path != "/login":
        return _to_login(request)
    partial = is_partial(request)
    values = {"problem": problem, "pointed": _pointed(problem["message"]), "wanted": "/"}
    template = "login.html" if request.url.path == "/login" else "parts/problem.html" if partial else "error.html"
    if template == "login.html":
        came_from = parse_qs(urlsplit(request.headers.get("referer", "")).query)
        values |= {**login_values(request), "wanted": sessions.local_path(came_from.get("next", ["/"])[-1])}
    headers = {name: value for name, value in report.headers.items() if name in ("retry-after", "allow")}
    if partial:
        # What was to be replaced stays; the message has a place of its own.
        headers |= {"HX-Retarget": "#messages", "HX-Reswap": "innerHTML"}
    return html(request, render(request, template, _who(request) | values), report.status_code, headers)


def login_values(request: Request) -> dict[str, Any]:
    """What the login shows."""
    settings = request.app.state.services.settings
    return {"oidc": settings.oidc_issuer is not None, "home": str(settings.home), "title": "Log in"}


def _wants_page(request: Request) -> bool:
    path = request.url.path
    if path.startswith(("/v1", "/static/")) or path in ("/healthz", "/readyz", "/metrics"):
        return False
    return "text/html" in request.headers.get("accept", "") or is_partial(request)


def _to_login(request: Request) -> Response:
    here = request.url
    wanted = f"{here.path}?{here.query}" if here.query else here.path
    if is_partial(request):
        shown = urlsplit(request.headers.get("hx-current-url", "/"))
        wanted = f"{shown.path}?{shown.query}" if shown.query else shown.path
        return Response(status_code=204, headers={"HX-Redirect": _login(wanted)})
    return RedirectResponse(_login(wanted if request.method == "GET" else "/"), 303, {"Cache-Control": "no-store"})


def _login(wanted: str) -> str:
    path = sessions.local_path(wanted)
    return "/login" if path == "/" else f"/login?next={quote(path, safe='')}"


def _who(request: Request) -> dict[str, Any]:
    """Who reads, as far as that is known already: what failed may be what would tell."""
    visit = getattr(request.state, "visit", None)
    return {} if visit is None else {"principal": visit.principal, "csrf": visit.csrf}


def _pointed(message: str) -> tuple[str, str]:
    """The sentence, and lines that point at something in it."""
    first, _, rest = message.partition("\n")
    return first, rest
