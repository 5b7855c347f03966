"""`wichtel tokens` and `wichtel whoami`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from wichtel.cli.command import Here, command, group

app = group("Access tokens.")


def add_to(program: typer.Typer) -> None:
    """Add `whoami`."""
    command(program, "whoami")(whoami)


@command(app, "create")
def create(
    here: Here,
    name: Annotated[str | None, typer.Argument(help="The user or service account; by default yourself.")] = None,
    role: Annotated[str | None, typer.Option(help="viewer, editor, approver or admin: makes NAME a principal, if it is none.")] = None,
    team: Annotated[str | None, typer.Option(help="Its home, then.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="read, experiments:write, models:write, admin; repeatable; none for all.")] = None,
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    expires: Annotated[datetime | None, typer.Option(help="When it ends, UTC; by default never.")] = None,
) -> None:
    """Make a token. It is printed this once: only its hash is kept."""
    with here.client() as client:
        token = client.tokens.create(
            name, role=role, team=team, scopes=scope or (), label=label, expires=expires and expires.replace(tzinfo=UTC)
        )
    here.out.text(token, token=token)


@command(app, "list")
def list_(
    here: Here,
    principal: Annotated[str | None, typer.Argument(help="Whose; by default your own.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Those of all principals; for admins.")] = False,
) -> None:
    """Tokens, without their secrets."""
    with here.client() as client:
        found = client.tokens.list(principal, everyone=everyone)
    here.out.table(
        found,
        ["id", "principal", "label", "scopes", "created", "expires", "last used"],
        ((t.id, t.principal, t.label, t.scopes or "all", t.created, t.expires or "never", t.last_used or "never") for t in found),
    )


@command(app, "revoke")
def revoke(here: Here, identity: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")]) -> None:
    """End a token, at once and everywhere."""
    with here.client() as client:
        client.tokens.revoke(identity)
    here.out.text("Revoked.", revoked=True)


def whoami(here: Here) -> None:
    """Who you are to the service, and what your token is for."""
    with here.client() as client:
        me = client.me()
    names = ("name", "kind", "team", "role", "teams", "scopes", "email")
    here.out.fields(me, ((name, me[name]) for name in names))
