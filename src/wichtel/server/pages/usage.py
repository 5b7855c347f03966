"""Usage: what was done with the service, and how long it took, in the tables that heinzelmaennchen's section IV shows of itself."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query
from starlette.responses import Response

from wichtel.domain import ExperimentStatus, NotFound
from wichtel.experiments import CallUsage, UsageReport
from wichtel.server.pages.columns import cell
from wichtel.server.pages.reader import Reader, page_router

router = page_router("/usage")

#: What can be chosen: how it is called, and days; 0 stands for all.
PERIODS = (("7 days", 7), ("30 days", 30), ("90 days", 90), ("All", 0))
_DEFAULT = 30
#: Calls in the chart of latencies.
_MOST_CALLS = 12
_TABLES = ("requests", "statuses", "times", "protocols", "days", "weeks")

Days = Annotated[int, Query(description="Of the latest so many days; 0 for all.")]


@router.get("")
def usage(reader: Reader, days: Days = _DEFAULT, team: Annotated[str, Query(max_length=300)] = "") -> Response:
    """The page."""
    days = days if days in dict(PERIODS).values() else _DEFAULT
    report = reader.app.statistics.lately(days, team or None)
    return reader.show(
        "usage.html",
        title="Usage",
        r=report,
        days=days,
        periods=[(name, _address(number, team)) for name, number in PERIODS],
        here=_address(days, team),
        team=team,
        teams=[found.name for found in reader.app.teams.list()],
        charts={name: json.dumps(data) for name, data in _charts(report, days).items()},
    )


@router.get("/{table}.csv")
def table(reader: Reader, table: str, days: Days = _DEFAULT, team: Annotated[str, Query(max_length=300)] = "") -> Response:
    """One table for spreadsheets."""
    if table not in _TABLES:
        raise NotFound(f"there is no table {table!r}.", hint=f"There are {', '.join(_TABLES)}.")
    rows: Sequence[Any] = getattr(reader.app.statistics.lately(days if days in dict(PERIODS).values() else _DEFAULT, team or None), table)
    headers = {"Content-Disposition": f'attachment; filename="usage-{table}.csv"', "Cache-Control": "no-store"}
    return Response(_csv([_plain(row) for row in rows]), media_type="text/csv", headers=headers)


def _address(days: int, team: str) -> str:
    return f"/usage?{urlencode({'days': days} | ({'team': team} if team else {}))}"


def _plain(row: Any) -> dict[str, Any]:
    plain = asdict(row)
    # A day has a column for each status.
    counts = plain.pop("experiments") if isinstance(plain.get("experiments"), dict) else None
    return plain if counts is None else plain | {str(status): counts.get(str(status), 0) for status in ExperimentStatus}


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    if rows:
        writer.writerow(rows[0])
    for row in rows:
        writer.writerow([cell(value) for value in row.values()])
    return out.getvalue()


def _charts(report: UsageReport, days: int) -> dict[str, Any]:
    """What the charts draw; the empty days and weeks between others are there, too."""
    today = datetime.now(UTC).date()
    first = today - timedelta(days=days - 1) if days else min([today, *(day.day for day in report.days)])
    by_day = {day.day: day.experiments for day in report.days}
    spans = [first + timedelta(days=k) for k in range((today - first).days + 1)]
    monday = first - timedelta(days=first.weekday())
    by_week = {week.week: week.users for week in report.weeks}
    weeks = [monday + timedelta(weeks=k) for k in range((today - monday).days // 7 + 1)]
    named = [str(status) for status in ExperimentStatus if any(str(status) in counts for counts in by_day.values())]
    return {
        "days": {
            "days": [day.isoformat() for day in spans],
            "counts": {status: [by_day.get(day, {}).get(status, 0) for day in spans] for status in named},
        },
        "users": {"weeks": [week.isoformat() for week in weeks], "users": [by_week.get(week, 0) for week in weeks]},
        "latency": [_latency(call) for call in report.requests[:_MOST_CALLS]],
    }


def _latency(call: CallUsage) -> dict[str, Any]:
    return {"call": call.call, "p50": round(call.p50_ms, 3), "p90": round(call.p90_ms, 3), "p99": round(call.p99_ms, 3)}
