"""`wichtel usage`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from wichtel.cli.command import Here, command, group

app = group("How the service is used.")

Since = Annotated[datetime | None, typer.Option(help="Only hours that began then or later; UTC.")]
Before = Annotated[datetime | None, typer.Option(help="Only hours that began earlier; UTC.")]


@command(app, "requests")
def requests(here: Here, since: Since = None, before: Before = None) -> None:
    """How often each call of the API was made, and how long it took, in milliseconds."""
    with here.client() as client:
        found = client.usage.requests(_utc(since), _utc(before))
    here.out.table(
        found,
        ["call", "count", "refused", "failed", "callers", "avg", "p50", "p90", "p99", "max"],
        (
            (
                u.call,
                u.count,
                u.refused,
                u.failed,
                u.principals,
                *(f"{ms:.1f}" for ms in (u.average_ms, u.p50_ms, u.p90_ms, u.p99_ms, u.max_ms)),
            )
            for u in found
        ),
    )


def _utc(time: datetime | None) -> datetime | None:
    from datetime import UTC

    return None if time is None else time.replace(tzinfo=UTC) if time.tzinfo is None else time
