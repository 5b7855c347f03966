"""The HTTP API under /v1, its documentation, access by bearer token, and the process that serves it.

Owns: routes, wire format, problem reports, OpenAPI. May import: `app` and everything below it, never the client or the command line.
Start with `application.py`. To add a noun, copy `routes/datasets.py` and name it in `routes/__init__.py`; a handler stays one call of a
service, so that there is nothing to decide here. Every error of `wichtel.domain` becomes a problem report by itself (`problems.py`).
"""

from wichtel.server.application import create_app
from wichtel.server.home import HomeLock, Serving, read_token, write_token
from wichtel.server.run import Background, serve

__all__ = ["Background", "HomeLock", "Serving", "create_app", "read_token", "serve", "write_token"]
