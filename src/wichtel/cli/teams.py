"""`wichtel teams`."""

from __future__ import annotations

from typing import Annotated

import typer

from wichtel.cli.command import Here, command, group

app = group("Teams, and who has a role in them.")


@command(app, "add")
def add(here: Here, team: str, description: Annotated[str, typer.Option(help="What it does.")] = "") -> None:
    """Make a team, or describe it anew."""
    with here.client() as client:
        made = client.teams.put(team, description=description)
    here.out.fields(made, [("team", made.name), ("description", made.description)])


@command(app, "list")
def list_(here: Here) -> None:
    """The teams."""
    with here.client() as client:
        found = client.teams.list()
    here.out.table(found, ["team", "description", "created"], ((t.name, t.description, t.created) for t in found))


@command(app, "show")
def show(here: Here, team: str) -> None:
    """One team."""
    with here.client() as client:
        found = client.teams.get(team)
    here.out.fields(found, [("team", found.name), ("description", found.description), ("created", found.created)])


@command(app, "members")
def members(here: Here, team: str) -> None:
    """Who has a role in a team."""
    with here.client() as client:
        found = client.teams.members(team)
    here.out.table(found, ["principal", "role", "at home"], ((m.principal, m.role, m.home) for m in found))


@command(app, "admit")
def admit(here: Here, team: str, principal: str, role: Annotated[str, typer.Option(help="viewer, editor or approver.")] = "viewer") -> None:
    """Give somebody a role in a team that is not their home."""
    with here.client() as client:
        member = client.teams.put_member(team, principal, role)
    here.out.fields(member, [("team", member.team), ("principal", member.principal), ("role", member.role)])


@command(app, "dismiss")
def dismiss(here: Here, team: str, principal: str) -> None:
    """Take it away."""
    with here.client() as client:
        client.teams.remove_member(team, principal)
    here.out.text("Dismissed.", dismissed=principal)
