"""`wichtel tokens`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from wichtel.cli.command import Here, command, group

app = group("Access tokens.")


@command(app, "create")
def create(
    here: Here,
    name: Annotated[str, typer.Argument(help="The user or service account.")],
    role: Annotated[str, typer.Option(help="viewer, editor, approver or admin.")],
    team: Annotated[str, typer.Option(help="Their team.")] = "default",
    expires: Annotated[datetime | None, typer.Option(help="When it ends, UTC; by default never.")] = None,
) -> None:
    """Make a token. It is printed this once: only its hash is kept."""
    with here.client() as client:
        token = client.tokens.create(name, role=role, team=team, expires=expires and expires.replace(tzinfo=UTC))
    here.out.text(token, token=token)
