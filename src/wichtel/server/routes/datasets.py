"""Datasets: registered examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query
from starlette.responses import Response

from wichtel.domain import Dataset
from wichtel.server.authentication import Caller, Services
from wichtel.server.idempotency import Route, lengthy, remember
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import json_body, reply, returns
from wichtel.store import Page

router = NounRouter(prefix="/datasets", tags=["datasets"], route_class=Route)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddDataset:
    """A dataset to be registered."""

    name: str
    #: Parquet or CSV files: absolute paths, as the service sees them.
    files: tuple[str, ...]
    time_column: str


@router.post("", **returns(Dataset, status=201, accepts=AddDataset))
@lengthy
def add(app: Services, caller: Caller, request: Annotated[AddDataset, Depends(json_body(AddDataset))]) -> Response:
    """Read the files, put the examples in time order and keep them."""
    return reply(app.datasets.add(request.name, list(request.files), request.time_column, caller, also=remember), 201)


@router.get("", **returns(Page[Dataset]))
def list_(app: Services, limit: Annotated[int, Query(ge=1, le=1000)] = 100, cursor: str | None = None) -> Response:
    """Datasets by name."""
    return reply(app.datasets.list(limit, cursor))


@router.get("/{name:path}", **returns(Dataset))
def get(app: Services, name: str) -> Response:
    """One dataset."""
    return reply(app.datasets.get(name))
