"""`wichtel audit`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from wichtel.cli.command import Here, command


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "audit")(audit)


def audit(
    here: Here,
    principal: Annotated[str | None, typer.Option(help="Who did it.")] = None,
    subject: Annotated[str | None, typer.Option(help="What it was done to.")] = None,
    action: Annotated[str | None, typer.Option(help="What was done, such as launch.")] = None,
    denied: Annotated[bool, typer.Option("--denied", help="Only what was not permitted.")] = False,
    since: Annotated[datetime | None, typer.Option(help="Not before, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Before, UTC.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most that are shown.")] = 100,
) -> None:
    """Who changed what, newest first. Admins see all; others their own and what concerns their teams."""
    with here.client() as client:
        found = client.audit.list(
            principal=principal,
            subject=subject,
            action=action,
            outcome="denied" if denied else None,
            created_from=since and since.replace(tzinfo=UTC),
            created_before=until and until.replace(tzinfo=UTC),
            limit=limit,
        )
    rows = (
        (e.created, e.principal, e.action if e.outcome == "done" else f"{e.action} ({e.outcome})", e.subject, e.team, e.detail)
        for e in found
    )
    here.out.table(found, ["time", "principal", "action", "subject", "team", "detail"], rows)
