"""`wichtel registrations`."""

from __future__ import annotations

from typing import Annotated

import typer

from wichtel.cli.command import Here, command, group
from wichtel.cli.run import FOLLOW, show_results

app = group("Registrations: models × protocols, as somebody asked for them.")


@command(app, "list")
def list_(
    here: Here,
    owner: Annotated[str | None, typer.Option(help="Only this owner's.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most that are shown.")] = 50,
) -> None:
    """Registrations, the newest first."""
    with here.client() as client:
        found = client.registrations.list(owner=owner, limit=limit)
    here.out.table(
        found,
        ["registration", "owner", "models", "protocols", "experiments", "created", "canceled"],
        ((r.id, r.owner, r.models, r.protocols, len(r.experiments), r.created, r.canceled) for r in found),
    )


@command(app, "show")
def show(here: Here, registration: str, follow: Annotated[bool, FOLLOW] = False) -> None:
    """The experiments of a registration; with --follow, once all have finished."""
    from wichtel.cli.follow import SUMMARY, exit_code, summary
    from wichtel.cli.follow import follow as follow_

    with here.client(works=follow) as client:
        r = client.registrations.get(registration)
        if follow:
            found = follow_(here, client, r.experiments)
            show_results(here, found)
            raise typer.Exit(exit_code(found))
        found = client.experiments.search(f"registration:{r.id}", limit=None)
    here.out.table({"registration": r, "experiments": found}, SUMMARY, map(summary, found))


@command(app, "cancel")
def cancel(here: Here, registration: str) -> None:
    """End every experiment of a registration that is not finished."""
    with here.client() as client:
        r = client.registrations.cancel(registration)
    here.out.fields(r, [("registration", r.id), ("canceled", r.canceled)])
