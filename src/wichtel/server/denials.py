"""Refusals in the audit log: wrong tokens, and what somebody tried that they may not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wichtel.server.exchange import current
from wichtel.server.schema import operation_id

if TYPE_CHECKING:
    from starlette.requests import Request

    from wichtel.domain import WichtelError

#: Whoever shows no token that is known.
STRANGER = "anonymous"
#: A token that stands where none belongs, such as in an address: all but its public part.
_SECRET = re.compile(r"(wt_[0-9a-f]{10}_|wt_)[\w-]{20,}")


def note(request: Request, error: WichtelError, status: int) -> None:
    """Note that the request was refused. One without any token is not noted: nobody tried anything."""
    exchange = current()
    shown = "authorization" in exchange.headers or "cookie" in exchange.headers
    if status == 401 and not shown and not exchange.path.startswith("/login"):
        return
    route = request.scope.get("route")
    action = operation_id(route) if hasattr(route, "tags") else "authenticate"
    detail = {"method": exchange.method, "address": exchange.address, "request": exchange.request_id, "why": redacted(error.message)}
    app = request.app.state.services
    # Strangers are told apart by their addresses as to how many are noted, not by what they call themselves.
    app.audit.denied(exchange.principal or STRANGER, action, redacted(exchange.path), detail, group=exchange.principal or exchange.address)


def redacted(text: str) -> str:
    """`text` without the secrets of tokens in it.

    >>> redacted("/v1/tokens/wt_0123456789_abcdefghijklmnopqrstuvwxyz")
    '/v1/tokens/wt_0123456789_***'
    """
    return _SECRET.sub(r"\1***", text)
