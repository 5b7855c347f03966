"""Exports: finished experiments as files for analysis."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from pydantic import AwareDatetime
from starlette.responses import Response

from wichtel.server.authentication import Caller, Services
from wichtel.server.idempotency import Route, lengthy
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import everything, reply, returns
from wichtel.store import Export, Page

router = NounRouter(prefix="/exports", tags=["exports"], route_class=Route)

_BYTES = "application/octet-stream"


@router.get("", **returns(Page[Export]))
def list_(app: Services, caller: Caller) -> Response:
    """What the exporter has written, by number."""
    return reply(everything(app.exports.list(caller)))


@router.get("/records", **returns(None, media_type=_BYTES))
@lengthy
def records(
    app: Services,
    caller: Caller,
    since: Annotated[AwareDatetime | None, Query(description="Only what finished then or later.")] = None,
    before: Annotated[AwareDatetime | None, Query(description="Only what finished earlier.")] = None,
    team: Annotated[str | None, Query(description="Only experiments of this team.")] = None,
    format: Annotated[Literal["parquet", "csv"], Query(description="Of the file.")] = "parquet",  # noqa: A002
) -> Response:
    """Every finished experiment, exported or not, in one file."""
    return Response(app.exports.records(caller, since=since, before=before, team=team, format=format), media_type=_BYTES)


@router.get("/{number}/files/{day}", **returns(None, media_type=_BYTES))
def file(app: Services, caller: Caller, number: int, day: str) -> Response:
    """The Parquet file of one day of an export."""
    return Response(app.exports.file(number, day, caller), media_type=_BYTES)
