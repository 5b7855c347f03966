"""Datasets: what models learn from, which of their columns, and when each part of them is seen."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from urllib.parse import quote, urlencode

from anyio import to_thread
from fastapi import Query
from starlette.responses import Response

from wichtel.domain import AlreadyExists, Dataset, InvalidInput, ModelVersion, WichtelError, check_name
from wichtel.server.exchange import current
from wichtel.server.pages.reader import PageReader, Reader, page_router

router = page_router("/datasets")

_ON_A_PAGE = 25
#: Of the pictures of windows, in its own units.
_WIDTH = 600


@dataclass(frozen=True, slots=True)
class Drawn:
    """A window of a model as a part of its dataset."""

    name: str
    x: float
    width: float
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column, and what the models that are shown make of it."""

    name: str
    type: str
    is_time: bool
    label: int
    feature: int


@dataclass(frozen=True, slots=True)
class NewDataset:
    """The form as it was sent, and what is wrong with it."""

    name: str = ""
    files: str = ""
    time_column: str = ""
    #: Field → why its value does not fit.
    problems: tuple[tuple[str, str], ...] = ()


@router.get("")
def datasets(reader: Reader, cursor: Annotated[str, Query(max_length=1000)] = "") -> Response:
    """The list."""
    return _list(reader, cursor, NewDataset())


@router.post("")
async def add(reader: Reader) -> Response:
    """Register one, on one of the threads for what takes long."""
    return await to_thread.run_sync(functools.partial(_add, reader), limiter=current().limits.lengthy)


@router.get("/{name:path}")
def dataset(reader: Reader, name: str, after: Annotated[str, Query(max_length=200)] = "") -> Response:
    """One of them."""
    service = reader.app.datasets
    d = service.get(name)
    found = service.models(name, _ON_A_PAGE + 1, after or None)
    shown = found[:_ON_A_PAGE]
    address = f"/datasets/{quote(name)}"
    return reader.show(
        "dataset.html",
        title=f"{name} · dataset",
        d=d,
        size=service.size(d),
        used=service.used().get(name, 0),
        models=[(version, windows(d, version)) for version in shown],
        columns=_columns(d, shown),
        width=_WIDTH,
        after=after,
        address=address,
        following=f"{address}?{urlencode({'after': shown[-1].model})}" if len(found) > len(shown) else "",
    )


def _list(reader: PageReader, cursor: str, new: NewDataset, status: int = 200) -> Response:
    service = reader.app.datasets
    page = service.list(_ON_A_PAGE, cursor or None)
    return reader.show(
        "datasets.html",
        status,
        title="Datasets",
        page=page,
        used=service.used() if page.items else {},
        cursor=cursor,
        following=f"/datasets?{urlencode({'cursor': page.cursor})}" if page.cursor else "",
        new=new,
        problems=dict(new.problems),
        folders=service.folders,
        add_not=reader.why_not("add_dataset"),
    )


def _add(reader: PageReader) -> Response:
    form = reader.form
    name, time_column = form.one("name").strip(), form.one("time_column").strip()
    files = [line.strip() for line in form.one("files").splitlines() if line.strip()]
    reader.principal.permit("add_dataset")
    try:
        check_name(name, what="dataset")
        if not files:
            raise InvalidInput("no files were given.", where="files")
        reader.app.datasets.add(name, files, time_column, reader.principal)
    except WichtelError as error:
        sent = NewDataset(form.one("name"), form.one("files"), form.one("time_column"), ((_field(error, time_column), _told(error)),))
        return _list(reader, "", sent, 422)
    return reader.go(f"/datasets/{quote(name)}")


def _field(error: WichtelError, time_column: str) -> str:
    """Which field of the form is wrong."""
    if isinstance(error, AlreadyExists) or "name a dataset" in error.message:
        return "name"
    about_column = error.message == f"there is no column {time_column!r}." or "column" in (error.where or "").rpartition(", ")[2]
    return "time_column" if about_column else "files"


def _told(error: WichtelError) -> str:
    where = f"{error.where}: " if error.where and error.where != "files" else ""
    return f"{where}{error.message}" + (f" {error.hint}" if error.hint else "")


def windows(d: Dataset, version: ModelVersion) -> tuple[Drawn, ...]:
    """Where the windows of a model lie in the dataset."""
    job = version.analysis.job
    span = (d.end - d.start).total_seconds() or 1.0

    def at(time: datetime) -> float:
        return round(min(max((time - d.start).total_seconds() / span, 0.0), 1.0) * _WIDTH, 1)

    given = (("train", job.train), ("evaluation", job.evaluation), ("holdout", job.holdout))
    return tuple(
        Drawn(name, at(window.start), max(at(window.end) - at(window.start), 1.5), window.start, window.end)
        for name, window in given
        if window is not None
    )


def _columns(d: Dataset, shown: Sequence[ModelVersion]) -> list[Column]:
    labels = [version.analysis.job.label for version in shown]
    features: dict[str, int] = {}
    for version in shown:
        for feature in version.analysis.features:
            features[feature.name] = features.get(feature.name, 0) + 1
    return [
        Column(name=name, type=kind, is_time=name == d.time_column, label=labels.count(name), feature=features.get(name, 0))
        for name, kind in d.columns.items()
    ]
