"""Periodic jobs. All of it needs the role admin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from wichtel.server.authentication import Caller, Services
from wichtel.server.idempotency import Route, harmless, lengthy
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import everything, reply, returns
from wichtel.store import JobStatus, Page

router = NounRouter(prefix="/jobs", tags=["jobs"], route_class=Route)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a job would do."""

    outcome: dict[str, Any]


@router.get("", **returns(Page[JobStatus]))
def list_(app: Services, caller: Caller) -> Response:
    """How they stand: when each is due, who carries it out, how the latest one went."""
    return reply(everything(app.jobs.list(caller)))


@router.get("/{job}", **returns(JobStatus))
def get(app: Services, caller: Caller, job: str) -> Response:
    """How one stands."""
    return reply(app.jobs.get(job, caller))


@router.post("/{job}:run", **returns(JobStatus))
def run(app: Services, caller: Caller, job: str) -> Response:
    """Have it carried out at once. It has been when `requested` and `holder` are empty again."""
    return reply(app.jobs.request(job, caller))


@router.post("/{job}:preview", **returns(Preview))
@harmless
@lengthy
def preview(app: Services, caller: Caller, job: str) -> Response:
    """What it would do now; nothing is done."""
    return reply(Preview(outcome=app.jobs.preview(job, caller)))
