"""The first page: what has happened, what is promising, what is under way, what waits. The file to copy for a new page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from starlette.responses import Response

from wichtel.domain.query import And, all_of, compares, equals
from wichtel.domain.query_parser import parse_query
from wichtel.server.pages.reader import PageReader, Reader, page_router

router = page_router()

_FEW = 6
#: Whoever was away for longer begins a new look.
_AWAY = timedelta(minutes=30)


@router.get("/")
def home(reader: Reader) -> Response:
    """The page, or for htmx what changes on it."""
    # Before anything is asked for: what happens meanwhile is then told twice rather than never.
    latest = reader.latest_event()
    since, remembered = _last_look(reader)
    search = reader.app.experiments.search
    mine = all_of(equals("owner", reader.principal.name), parse_query("state:ENQUEUED,IN_PROGRESS"))
    answer = reader.show(
        "parts/home.html" if reader.partial else "home.html",
        title="Home",
        since=since,
        finished=search(compares("finished", ">=", since), sort="-finished", limit=_FEW, total=True),
        promising=search("status:SATISFIED finished>-30d", sort="-finished", limit=_FEW),
        mine=search(mine, sort="-created", limit=_FEW, total=True),
        queue=reader.app.waits.queue(limit=_FEW),
        models=reader.app.models.list(limit=1),
        anything=bool(search(And(), limit=1).items),
        may_add=reader.principal.may("add_dataset"),
        latest=latest,
    )
    reader.prefer(answer, "looked", remembered)
    return answer


def _last_look(reader: PageReader) -> tuple[datetime, str]:
    """Since when things are new for this browser, and what it is to remember: the beginning of what is new, and this look."""
    now = datetime.now(UTC)
    begin, _, last = reader.preference("looked").partition(".")
    try:
        since, seen = (datetime.fromtimestamp(int(part), UTC) for part in (begin, last))
    except (ValueError, OverflowError, OSError):
        since, seen = now - timedelta(days=7), now
    if now - seen > _AWAY:
        since = seen
    since = min(max(since, now - timedelta(days=365)), now)
    return since, f"{int(since.timestamp())}.{int(now.timestamp())}"
