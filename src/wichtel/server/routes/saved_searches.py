"""Searches that are kept under names."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.responses import Response

from wichtel.domain import SavedSearch
from wichtel.experiments import SaveSearch
from wichtel.server.authentication import Caller, Services
from wichtel.server.idempotency import Route, conditional
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import everything, json_body, nothing, reply, returns
from wichtel.store import Page

router = NounRouter(prefix="/saved-searches", tags=["saved searches"], route_class=Route)

_Body = Annotated[SaveSearch, Depends(json_body(SaveSearch))]


@router.post("", **returns(SavedSearch, status=201, accepts=SaveSearch))
def add(app: Services, caller: Caller, request: _Body) -> Response:
    """Keep a search under a name, for oneself or for a team too."""
    return reply(app.saved_searches.add(request, caller), 201)


@router.get("", **returns(Page[SavedSearch]))
def list_(app: Services, caller: Caller) -> Response:
    """The caller's own, and those that are shared with the caller's teams, by name."""
    return reply(everything(app.saved_searches.list(caller)))


@router.get("/{search}", **returns(SavedSearch))
def get(app: Services, caller: Caller, search: str) -> Response:
    """One saved search."""
    return reply(app.saved_searches.get(search, caller))


@router.put("/{search}", **returns(SavedSearch, accepts=SaveSearch))
@conditional("saved_searches", lambda app, search, caller: app.saved_searches.get(search, caller))
def put(app: Services, caller: Caller, search: str, request: _Body) -> Response:
    """Change all of it but its owner."""
    return reply(app.saved_searches.put(search, request, caller))


@router.delete("/{search}", status_code=204)
@conditional("saved_searches", lambda app, search, caller: app.saved_searches.get(search, caller))
def delete(app: Services, caller: Caller, search: str) -> Response:
    """Forget a saved search."""
    app.saved_searches.delete(search, caller)
    return nothing()
