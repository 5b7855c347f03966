"""Cookies, and what keeps other sites from using them: the `SameSite` flag, the request's origin, and the CSRF token."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from wichtel.domain import InvalidInput, NotPermitted

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from wichtel.experiments import Visit

COOKIE = "wichtel_session"
#: Of the field of a form that has the CSRF token.
FIELD = "csrf_token"

_HINT = "Use the pages of this service; scripts send 'Authorization: Bearer TOKEN' instead of a cookie."


def own_address(request: Request) -> str:
    """Where browsers find this service: as the settings say, else as this one asked."""
    given: str | None = request.app.state.services.settings.public_url
    return (given or str(request.base_url)).rstrip("/")


def is_secure(request: Request) -> bool:
    """Whether browsers find this service by https."""
    return own_address(request).startswith("https:")


def set_cookie(request: Request, answer: Response, name: str, value: str, *, seconds: int) -> None:
    """Have the browser keep a cookie that no script can read and that other sites do not make it send with changes."""
    answer.set_cookie(name, value, max_age=seconds, path="/", secure=is_secure(request), httponly=True, samesite="lax")


def clear_cookie(request: Request, answer: Response, name: str) -> None:
    """Have the browser forget a cookie."""
    answer.delete_cookie(name, path="/", secure=is_secure(request), httponly=True, samesite="lax")


def check_origin(request: Request) -> None:
    """Refuse a change that is not sent by a page of this service.

    Raises:
        NotPermitted: the browser says, or does not deny, that another site had it sent.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and origin is None:
        # Every browser tells one of the two with a change.
        raise NotPermitted("this change does not say which site it comes from.", where="header Origin", hint=_HINT)
    if site not in (None, "same-origin"):
        raise NotPermitted("this change comes from another site.", where="header Sec-Fetch-Site", hint=_HINT)
    if origin is not None and _origin(origin) != _origin(own_address(request)):
        raise NotPermitted("this change comes from another site.", where="header Origin", hint=f"{_HINT} Behind a proxy, set public_url.")


def check_csrf(request: Request, visit: Visit, given: str | None) -> None:
    """Refuse a change by cookie unless it comes from a page of ours, with the session's CSRF token.

    Raises:
        NotPermitted: it does not.
    """
    check_origin(request)
    if not given or not hmac.compare_digest(given.encode(), visit.csrf.encode()):
        raise NotPermitted("the CSRF token is missing or not this session's.", where="header X-CSRF-Token", hint="Load the page again.")


def form(body: bytes) -> dict[str, str]:
    """The fields of a form, as browsers send it.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50))
    except ValueError as error:
        raise InvalidInput(f"this is no form: {error}.", where="body") from None


def is_form(request: Request) -> bool:
    """Whether the body is a form rather than JSON."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/x-www-form-urlencoded"


def local_path(given: str | None) -> str:
    """`given` if it is a page of this service, else the first page: a link must not send who logs in to another site.

    >>> local_path("/experiments?q=1"), local_path("//evil.example"), local_path("https://evil.example")
    ('/experiments?q=1', '/', '/')
    """
    if not given or not given.startswith("/") or given[1:2] in ("/", "\\") or not given.isprintable() or "\\" in given:
        return "/"
    return given


def _origin(address: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(address)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", "", None
    return parts.scheme, (parts.hostname or "").lower(), port
