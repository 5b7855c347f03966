"""Templates: one environment for all pages, which escapes everything and takes a missing name for a mistake."""

from __future__ import annotations

import gzip
from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse

from wichtel.server.pages.formats import FILTERS, now
from wichtel.server.pages.graph import drawing
from wichtel.server.pages.highlight import code, diff
from wichtel.server.pages.navigation import PLACES

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.requests import Request
    from starlette.responses import Response

#: Nothing from elsewhere, nothing inline.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Vary": "Accept-Encoding, Cookie, HX-Request",
}
#: Less is not worth compressing.
_LEAST_BYTES = 1024


@cache
def environment() -> Environment:
    """The templates of `server/templates`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("wichtel.server", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= FILTERS
    made.filters["diff"] = diff
    made.filters["code"] = code
    made.globals["graph"] = drawing
    made.globals["now"] = now
    return made


def html(request: Request, text: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`text` as an answer, compressed if the browser takes it so."""
    data = text.encode()
    more = _HEADERS | (headers or {})
    if len(data) >= _LEAST_BYTES and "gzip" in request.headers.get("accept-encoding", ""):
        # Quickly: it is done for one reader.
        data, more = gzip.compress(data, 3, mtime=0), {**more, "Content-Encoding": "gzip"}
    return HTMLResponse(data, status, more)


def is_partial(request: Request) -> bool:
    """Whether only a part of the page is to be replaced."""
    return request.headers.get("hx-request") == "true"


def render(request: Request, template: str, values: dict[str, Any]) -> str:
    """A template with what every page knows."""
    theme = request.cookies.get("wichtel_theme", "")
    common = {
        "asset": request.app.state.assets.address,
        "places": PLACES,
        "path": request.url.path,
        "theme": theme if theme in ("light", "dark") else "",
        "csrf": "",
        "principal": None,
        "reads": None,
    }
    return environment().get_template(template).render(common | values)
