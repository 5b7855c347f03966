"""Failures that somebody has to look into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query
from starlette.responses import Response

from wichtel.server.authentication import Caller, Services
from wichtel.server.idempotency import Route
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import json_body, reply, returns
from wichtel.store import Case, Page, TriageState

router = NounRouter(prefix="/triage", tags=["triage"], route_class=Route)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveCase:
    """What became of a case."""

    state: TriageState
    #: For whoever meets it next.
    note: str = ""


@router.get("", **returns(Page[Case]))
def list_(
    app: Services, state: TriageState | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100, cursor: str | None = None
) -> Response:
    """Failures that no rule knows, or that are the system's, counted; the latest first."""
    return reply(app.triage.list(state=state, limit=limit, cursor=cursor))


@router.get("/{case}", **returns(Case))
def get(app: Services, case: str) -> Response:
    """One of them."""
    return reply(app.triage.get(case))


@router.post("/{case}:resolve", **returns(Case, accepts=ResolveCase))
def resolve(app: Services, caller: Caller, case: str, request: Annotated[ResolveCase, Depends(json_body(ResolveCase))]) -> Response:
    """Say what became of it. Needs the role admin. What was fixed and happens again is open again."""
    return reply(app.triage.resolve(case, request.state, request.note, caller))
