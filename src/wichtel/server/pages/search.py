"""The list of experiments: the query language, columns, order, pages; all of it in the address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import Query
from starlette.responses import JSONResponse, Response, StreamingResponse

from wichtel.domain import AlreadyExists, Experiment, ExperimentState, InvalidInput, WichtelError
from wichtel.experiments import SaveSearch
from wichtel.server.pages.columns import COLUMNS, Column, read_columns
from wichtel.server.pages.completion import completions
from wichtel.server.pages.exports import csv_parts, parquet_parts, rows_of
from wichtel.server.pages.reader import PageReader, Reader, page_router
from wichtel.server.pages.saved import Keeping, keeping
from wichtel.store import Page

router = page_router("/experiments")

SIZES = (25, 50, 100, 200)
#: Metrics that the menu of columns offers.
_FEW_METRICS = 10
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
    answer = _list(reader, view, shown, wrong, latest, keeping(reader, query, sort, names))
    if limit in SIZES:
        reader.prefer(answer, "page_size", str(limit))
    if columns is not None and wrong is None:
        reader.prefer(answer, "columns", ",".join(names))
    return answer


def _list(reader: PageReader, view: View, columns: Sequence[Column], wrong: InvalidInput | None, latest: int, keep: Keeping) -> Response:
    page: Page[Experiment] = Page(items=())
    try:
        page = reader.app.experiments.search(view.query, sort=view.sort, limit=view.limit, cursor=view.cursor or None, total=True)
    except InvalidInput as error:
        wrong = error
    metrics = [f"delta.{name}" for name in reader.app.vocabulary.names("metric", limit=_FEW_METRICS) if _is_plain(name)]
    return reader.show(
        "parts/experiments.html" if reader.partial else "search.html",
        422 if wrong or keep.problem else 200,
        title="Experiments",
        view=view,
        page=page,
        columns=columns,
        all_columns=COLUMNS,
        metric_columns=metrics,
        sizes=SIZES,
        wrong=wrong,
        views=_views(reader),
        keep=keep,
        may_cancel={e.id: reader.why_not("cancel_experiment", team=e.quota_group, owner=e.owner) for e in page.items if _under_way(e)},
        latest=latest,
        anything=bool(page.items or view.query or view.cursor) or reader.app.experiments.search("", limit=1).items != (),
    )


def _is_plain(metric: str) -> bool:
    """Whether a list with commas can name it."""
    return "," not in metric


@router.post("/saved")
def save(reader: Reader) -> Response:
    """Keep what is shown under a name, in the place of what the reader kept under it before."""
    latest = reader.latest_event()
    form = reader.form
    shown, _ = _columns(reader, form.all("columns"))
    names = tuple(column.name for column in shown)
    view = View(query=form.one("query"), sort=form.one("sort") or "-created", columns=names, limit=SIZES[0], cursor="")
    name = form.one("name").strip()
    request = SaveSearch(name=name, query=view.query, sort=view.sort, columns=names, team=form.one("team"))
    searches = reader.app.saved_searches
    known = next((s for s in searches.list(reader.principal) if (s.owner, s.name) == (reader.principal.name, name)), None)
    try:
        if known is None:
            searches.add(request, reader.principal)
        else:
            searches.put(known.id, request, reader.principal)
    except (InvalidInput, AlreadyExists) as error:
        return _list(reader, view, shown, None, latest, keeping(reader, view.query, view.sort, names, name=name, wrong=error))
    return reader.go(view.address())


@router.post("/saved/{search}")
def change(reader: Reader, search: str) -> Response:
    """Rename one, share it or not, or forget it."""
    latest = reader.latest_event()
    searches, form = reader.app.saved_searches, reader.form
    known = searches.get(search, reader.principal)
    if form.one("delete"):
        searches.delete(search, reader.principal)
        return reader.go("/experiments")
    request = SaveSearch(name=form.one("name").strip(), query=known.query, sort=known.sort, columns=known.columns, team=form.one("team"))
    shown, _ = _columns(reader, known.columns)
    view = View(query=known.query, sort=known.sort, columns=tuple(c.name for c in shown), limit=SIZES[0], cursor="")
    try:
        searches.put(search, request, reader.principal)
    except (InvalidInput, AlreadyExists) as error:
        return _list(
            reader, view, shown, None, latest, keeping(reader, view.query, view.sort, view.columns, name=request.name, wrong=error)
        )
    return reader.go(view.address())


@router.get("/completions")
def complete(reader: Reader, before: Annotated[str, Query(max_length=4000)] = "") -> Response:
    """How a query may go on."""
    return JSONResponse([asdict(one) for one in completions(reader.app, reader.principal, before)])


@router.get("/export.{form}")
def export(
    reader: Reader,
    form: Literal["csv", "parquet"],
    query: Annotated[str, Query(max_length=4000)] = "",
    sort: str = "-created",
    columns: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """All that the query finds, with the columns of the list, up to a hundred thousand rows."""
    shown = read_columns(columns or ())
    pages = rows_of(reader.app, query, sort)
    parts, kind = (csv_parts, "text/csv; charset=utf-8") if form == "csv" else (parquet_parts, "application/vnd.apache.parquet")
    headers = {"Content-Disposition": f'attachment; filename="experiments.{form}"', "Cache-Control": "no-store"}
    return StreamingResponse(parts(shown, pages), media_type=kind, headers=headers)


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
