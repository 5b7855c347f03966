"""The list of experiments: the query language, columns, order, pages; all of it in the address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query
from starlette.responses import JSONResponse, Response

from wichtel.domain import Experiment, ExperimentState, InvalidInput, WichtelError
from wichtel.server.pages.columns import COLUMNS, Column, as_csv, read_columns
from wichtel.server.pages.completion import completions
from wichtel.server.pages.reader import PageReader, Reader, page_router
from wichtel.store import Page

router = page_router("/experiments")

SIZES = (25, 50, 100, 200)
#: Rows of a CSV file.
_MOST_ROWS = 10_000
#: Earlier pages that can be gone back to.
_MOST_BACK = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the list shows: its address."""

    query: str
    sort: str
    columns: tuple[str, ...]
    limit: int
    cursor: str
    #: Cursors of the pages before.
    trail: tuple[str, ...] = ()

    def address(self, path: str = "/experiments", **changes: Any) -> str:
        """The address of this view, with changes; a change of anything but the page leads to the first page."""
        values = {name: getattr(self, name) for name in ("query", "sort", "columns", "limit", "cursor", "trail")}
        if not changes.keys() & {"cursor", "trail"}:
            values |= {"cursor": "", "trail": ()}
        values |= changes
        values["columns"], values["trail"] = ",".join(values["columns"]), ".".join(values["trail"])
        given = {name: value for name, value in values.items() if value and (name, value) != ("sort", "-created")}
        return f"{path}?{urlencode(given, safe=',.:*')}" if given else path


@router.get("")
def search(
    reader: Reader,
    query: Annotated[str, Query(max_length=4000)] = "",
    sort: str = "-created",
    columns: Annotated[list[str] | None, Query()] = None,
    limit: int | None = None,
    cursor: str = "",
    trail: str = "",
) -> Response:
    """The page, or for htmx its table."""
    # Before anything is asked for: what happens meanwhile is then told twice rather than never.
    latest = reader.latest_event()
    shown, wrong = _columns(reader, columns)
    chosen = limit if limit in SIZES else int(found) if (found := reader.preference("page_size")) in map(str, SIZES) else SIZES[0]
    names = tuple(column.name for column in shown)
    back = tuple(trail.split("."))[-_MOST_BACK:] if trail else ()
    view = View(query=query, sort=sort, columns=names, limit=chosen, cursor=cursor, trail=back)
    page: Page[Experiment] = Page(items=())
    try:
        page = reader.app.experiments.search(query, sort=sort, limit=chosen, cursor=cursor or None, total=True)
    except InvalidInput as error:
        wrong = error
    answer = reader.show(
        "parts/experiments.html" if reader.partial else "search.html",
        422 if wrong else 200,
        title="Experiments",
        view=view,
        page=page,
        columns=shown,
        all_columns=COLUMNS,
        sizes=SIZES,
        wrong=wrong,
        views=_views(reader),
        may_cancel={e.id: reader.why_not("cancel_experiment", team=e.quota_group, owner=e.owner) for e in page.items if _under_way(e)},
        latest=latest,
        anything=bool(page.items or query or cursor) or reader.app.experiments.search("", limit=1).items != (),
    )
    if limit in SIZES:
        reader.prefer(answer, "page_size", str(limit))
    if columns is not None and wrong is None:
        reader.prefer(answer, "columns", ",".join(names))
    return answer


@router.get("/completions")
def complete(reader: Reader, before: Annotated[str, Query(max_length=4000)] = "") -> Response:
    """How a query may go on."""
    return JSONResponse([asdict(one) for one in completions(reader.app, reader.principal, before)])


@router.get("/export.csv")
def export(
    reader: Reader,
    query: Annotated[str, Query(max_length=4000)] = "",
    sort: str = "-created",
    columns: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """All that the query finds, with the columns of the list, up to ten thousand."""
    shown = read_columns(columns or ())
    found: list[Experiment] = []
    cursor: str | None = None
    while len(found) < _MOST_ROWS:
        page = reader.app.experiments.search(query, sort=sort, limit=1000, cursor=cursor)
        found += page.items
        cursor = page.cursor
        if cursor is None:
            break
    headers = {"Content-Disposition": 'attachment; filename="experiments.csv"', "Cache-Control": "no-store"}
    return Response(as_csv(shown, found), media_type="text/csv", headers=headers)


@router.post("/cancel")
def cancel(reader: Reader) -> Response:
    """End the chosen experiments; tell which could not be, and why."""
    done: list[str] = []
    refused: list[tuple[str, str]] = []
    for identity in dict.fromkeys(reader.form.all("id")):
        try:
            reader.app.experiments.cancel(identity, reader.principal)
        except WichtelError as error:
            refused.append((identity, str(error)))
        else:
            done.append(identity)
    if not refused and done:
        return reader.go(reader.form.one("next"))
    return reader.show("canceled.html", 200 if done else 409, title="Canceled", done=done, refused=refused, back=reader.form.one("next"))


def _columns(reader: PageReader, given: Sequence[str] | None) -> tuple[tuple[Column, ...], InvalidInput | None]:
    try:
        return read_columns(given if given is not None else [reader.preference("columns")]), None
    except InvalidInput as error:
        return read_columns(()), error if given is not None else None


def _under_way(experiment: Experiment) -> bool:
    return experiment.state is not ExperimentState.FINISHED


def _views(reader: PageReader) -> tuple[tuple[str, str], ...]:
    """Queries that many want."""
    return (
        ("All", ""),
        ("Mine", f'owner:"{reader.principal.name}"' if not reader.principal.name.isalnum() else f"owner:{reader.principal.name}"),
        ("Under way", "state:ENQUEUED,IN_PROGRESS"),
        ("Satisfied", "status:SATISFIED"),
        ("Failed", "status:*_ERROR,DEADLINE_EXCEEDED"),
    )
