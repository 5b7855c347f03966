"""The HTTP API under /v1, its documentation, the pages, access by token or session, and the process that serves it all.

Owns: routes, wire format, problem reports, OpenAPI, pages. May import: `app` and everything below it, never the client or the command line.
Start with `application.py`. To add a noun, copy `routes/datasets.py` and name it in `routes/__init__.py`; a handler stays one call of a
service, so that there is nothing to decide here. To add a page, see `pages/__init__.py`. Every error of `wichtel.domain` becomes a problem
report by itself (`problems.py`), or a page that says the same.

Names are loaded when they are first used, so that the command line can look into a home without waiting for FastAPI.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wichtel.server.application import create_app
    from wichtel.server.home import HomeLock, Serving, read_token, serving, write_token
    from wichtel.server.run import Background, listen, serve

_HOMES = {
    "Background": "run",
    "HomeLock": "home",
    "Serving": "home",
    "create_app": "application",
    "listen": "run",
    "read_token": "home",
    "serve": "run",
    "serving": "home",
    "write_token": "home",
}

__all__ = ["Background", "HomeLock", "Serving", "create_app", "listen", "read_token", "serve", "serving", "write_token"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"wichtel.server.{_HOMES[name]}"), name)
