"""`wichtel principals`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from wichtel.cli.command import Here, command, group

if TYPE_CHECKING:
    from wichtel.store import Principal

app = group("Users and service accounts.")

ROLE = typer.Option(help="In the home team: viewer, editor, approver; or admin, of the whole service.")


@command(app, "add")
def add(
    here: Here,
    name: str,
    role: Annotated[str, ROLE] = "viewer",
    team: Annotated[str, typer.Option(help="The home.")] = "default",
    service: Annotated[bool, typer.Option("--service", help="A service account rather than a user.")] = False,
    email: Annotated[str | None, typer.Option(help="For notifications.")] = None,
) -> None:
    """Make one. `wichtel tokens create NAME` gives it a token."""
    with here.client() as client:
        made = client.principals.add(name, role=role, team=team, kind="service" if service else "user", email=email)
    _show(here, made)


@command(app, "list")
def list_(here: Here) -> None:
    """All of them."""
    with here.client() as client:
        found = client.principals.list()
    rows = ((p.name, p.kind, p.team, p.role, p.teams, p.email, p.disabled) for p in found)
    here.out.table(found, ["principal", "kind", "team", "role", "other teams", "e-mail", "disabled"], rows)


@command(app, "show")
def show(here: Here, name: str) -> None:
    """One of them."""
    with here.client() as client:
        _show(here, client.principals.get(name))


@command(app, "set")
def set_(
    here: Here,
    name: str,
    role: Annotated[str | None, ROLE] = None,
    team: Annotated[str | None, typer.Option(help="The home.")] = None,
    email: Annotated[str | None, typer.Option(help="For notifications; an empty one takes it away.")] = None,
) -> None:
    """Set its home, its role there, or its e-mail address."""
    from wichtel.domain import InvalidInput

    if role is None and team is None and email is None:
        raise InvalidInput("nothing is to be set.", hint="Say --role, --team or --email.")
    with here.client() as client:
        _show(here, client.principals.change(name, team=team, role=role, email=email))


@command(app, "disable")
def disable(here: Here, name: str) -> None:
    """Let it come in no more, at once and everywhere."""
    with here.client() as client:
        _show(here, client.principals.disable(name))


@command(app, "enable")
def enable(here: Here, name: str) -> None:
    """Let it come in again, with the tokens it had."""
    with here.client() as client:
        _show(here, client.principals.enable(name))


def _show(here: Here, p: Principal) -> None:
    fields = [("principal", p.name), ("kind", p.kind), ("team", p.team), ("role", p.role), ("other teams", p.teams)]
    here.out.fields(p, [*fields, ("e-mail", p.email), ("disabled", p.disabled)])
