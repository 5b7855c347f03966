"""`wichtel usage`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wichtel.cli.command import Here, command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wichtel.experiments import UsageReport

Since = Annotated[datetime | None, typer.Option(help="Only what began or, of experiments, finished then or later; UTC.")]
Before = Annotated[datetime | None, typer.Option(help="Only what did so earlier; UTC.")]
Team = Annotated[str | None, typer.Option(help="Only experiments of this team; requests are not told apart.")]

_TABLES = ("requests", "statuses", "times", "protocols")


def add_to(program: typer.Typer) -> None:
    """Add `wichtel usage`."""
    command(program, "usage")(usage)


def usage(
    here: Here,
    table: Annotated[str | None, typer.Argument(help="requests, statuses, times or protocols; all of them by default.")] = None,
    since: Since = None,
    before: Before = None,
    team: Team = None,
) -> None:
    """How the service is used: requests by call, experiments by status and protocol, and their times."""
    from wichtel.domain import NotFound, did_you_mean

    if table is not None and table not in _TABLES:
        raise NotFound(f"there is no table {table!r}.", hint=did_you_mean(table, _TABLES))
    with here.client() as client:
        if table == "requests":
            requests = client.usage.requests(utc(since), utc(before))
            here.out.table(requests, *_requests(requests))
            return
        report = client.usage.report(utc(since), utc(before), team)
    tables = {
        "requests": (report.requests, _requests(report.requests)),
        "statuses": (report.statuses, _statuses(report)),
        "times": (report.times, _times(report)),
        "protocols": (report.protocols, _protocols(report)),
    }
    if table is not None:
        value, (columns, rows) = tables[table]
        here.out.table(value, columns, rows)
        return
    if here.json:
        here.out.data(report)
        return
    for name, (value, (columns, rows)) in tables.items():
        here.out.text(_TITLES[name])
        if rows:
            here.out.table(value, columns, rows)
        else:
            here.out.text("There are none.")
        here.out.text("\n")
    t = report.totals
    here.out.fields(
        t,
        [
            ("users", f"{t.users} ({t.users_monthly:.1f} a month)"),
            ("experiments", f"{t.experiments} ({t.experiments_daily:.1f} a day)"),
            ("models", f"{t.models} ({t.models_daily:.1f} a day)"),
        ],
    )


_TITLES = {
    "requests": "Requests and their latency in milliseconds, by call",
    "statuses": "Users, finished experiments and models, by status",
    "times": "Median times, by status",
    "protocols": "Protocols",
}

_Table = tuple[list[str], list[list[Any]]]


def _requests(found: Iterable[Any]) -> _Table:
    return ["call", "count", "refused", "failed", "callers", "avg", "p50", "p90", "p99", "max"], [
        [
            u.call,
            u.count,
            u.refused,
            u.failed,
            u.principals,
            *(f"{ms:.1f}" for ms in (u.average_ms, u.p50_ms, u.p90_ms, u.p99_ms, u.max_ms)),
        ]
        for u in found
    ]


def _statuses(report: UsageReport) -> _Table:
    return ["status", "users (%)", "experiments (%)", "models (%)"], [
        [
            s.status,
            _share(s.users, s.users_percent),
            _share(s.experiments, s.experiments_percent),
            _share(s.models, s.models_percent),
        ]
        for s in report.statuses
    ]


def _times(report: UsageReport) -> _Table:
    return ["status", "queuing", "scheduling", "execution"], [
        [t.status, *(_span(seconds) for seconds in (t.queuing_seconds, t.scheduling_seconds, t.execution_seconds))] for t in report.times
    ]


def _protocols(report: UsageReport) -> _Table:
    columns = [
        "protocol",
        "kind",
        "users (%)",
        "experiments (%)",
        "with result (%)",
        "satisfied (%)",
        "models (%)",
        "models each",
        "execution",
    ]
    return columns, [
        [
            p.protocol,
            p.kind,
            _share(p.users, p.users_percent),
            _share(p.experiments, p.experiments_percent),
            _share(p.with_result, p.with_result_percent),
            _share(p.satisfied, p.satisfied_percent),
            _share(p.models, p.models_percent),
            f"{p.models_per_experiment:.2f}",
            _span(p.execution_seconds),
        ]
        for p in report.protocols
    ]


def _share(count: int, percent: float) -> str:
    return f"{count} ({percent:.1f})"


def _span(seconds: float | None) -> str:
    """As the paper writes it: seconds up to some minutes, then hours."""
    if seconds is None:
        return "-"
    return f"{seconds:.1f} s" if seconds < 600 else f"{seconds / 3600:.1f} h"


def utc(time: datetime | None) -> datetime | None:
    """`time`, which is UTC if it does not say."""
    from datetime import UTC

    return None if time is None else time.replace(tzinfo=UTC) if time.tzinfo is None else time
