"""`wichtel quotas`."""

from __future__ import annotations

from typing import Annotated

import typer

from wichtel.cli.command import Here, command, group

app = group("The teams' shares: how many experiments may be in progress at once.")


@command(app, "set")
def set_(here: Here, team: str, most: Annotated[int, typer.Argument(min=0, help="Experiments in progress at once.")]) -> None:
    """Set a team's share."""
    from wichtel.domain import QuotaGroup

    with here.client() as client:
        q = client.quota_groups.put(QuotaGroup(name=team, max_in_progress=most))
    here.out.fields(q, [("team", q.name), ("in progress at most", q.max_in_progress)])


@command(app, "list")
def list_(here: Here) -> None:
    """The shares that somebody set."""
    with here.client() as client:
        found = client.quota_groups.list()
    here.out.table(found, ["team", "in progress at most"], ((q.name, q.max_in_progress) for q in found))
