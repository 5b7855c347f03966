"""Intents: named sets of constraints."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query
from starlette.responses import Response

from wichtel.domain import AppliedIntent, Intent
from wichtel.server.authentication import Caller, Services
from wichtel.server.idempotency import Route, conditional
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import everything, json_body, nothing, reply, returns
from wichtel.store import Page

router = NounRouter(prefix="/intents", tags=["intents"], route_class=Route)


@router.put("", **returns(Intent, accepts=Intent))
@conditional("intents", lambda app, intent: app.intents.find(intent.name, intent.models))
def put(app: Services, caller: Caller, intent: Annotated[Intent, Depends(json_body(Intent))]) -> Response:
    """Keep an intent, in the place of one with the same name and pattern of models."""
    app.intents.put(intent, caller)
    return reply(intent)


@router.get("", **returns(Page[Intent], Page[AppliedIntent]))
def list_(app: Services, model: Annotated[str | None, Query(description="The name of a model.")] = None) -> Response:
    """All intents, those that are built in among them; with `model` of each name the one that applies to it, and why."""
    return reply(everything(app.intents.list() if model is None else app.intents.applied(model)))


@router.get("/{name}", **returns(Intent))
def get(app: Services, name: str, model: str) -> Response:
    """Of the intents with that name, the narrowest that applies to `model`."""
    return reply(app.intents.get(name, model))


@router.delete("/{name}", status_code=204)
@conditional("intents", lambda app, name, models: app.intents.find(name, models))
def delete(app: Services, caller: Caller, name: str, models: str = "*") -> Response:
    """Forget the intent with that name and that pattern of models."""
    app.intents.delete(name, models, caller)
    return nothing()
