"""Teams, and who has a role in them."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from wichtel.domain import NotFound
from wichtel.store.repository import Repository
from wichtel.store.tables import memberships, principals, teams


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """People and service accounts who own models together."""

    name: str
    description: str = ""
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Somebody's role in a team."""

    principal: str
    team: str
    #: ``viewer``, ``editor``, ``approver``; or ``admin``, who may do everything everywhere.
    role: str
    #: Whether it is the principal's home team.
    home: bool = False


class Teams(Repository):
    """Teams, by name, with their members."""

    def put(self, name: str, description: str) -> Team:
        """Make a team, or describe a known one anew."""
        self.upsert(teams, {"name": name, "description": description, "created": self.now}, keep=["created"])
        return self.get(name)

    def ensure(self, name: str) -> bool:
        """Make a team of that name if there is none; return whether there was none."""
        return bool(self.insert(teams, {"name": name, "description": "", "created": self.now}))

    def get(self, name: str) -> Team:
        """The team of that name.

        Raises:
            NotFound: there is none.
        """
        row = self.connection.execute(sa.select(teams).where(teams.c.name == name)).one_or_none()
        if row is None:
            raise self.not_found("team", name, teams.c.name)
        return Team(**row._mapping)

    def list(self) -> builtins.list[Team]:
        """All, in the order of names."""
        return [Team(**row._mapping) for row in self.connection.execute(sa.select(teams).order_by(teams.c.name))]

    def members(self, team: str) -> builtins.list[Member]:
        """Whose home it is and who has a role in it besides, by name."""
        homes = sa.select(principals.c.name, principals.c.role).where(principals.c.team == team)
        others = sa.select(memberships.c.principal, memberships.c.role).where(memberships.c.team == team)
        found = {name: Member(principal=name, team=team, role=role) for name, role in self.connection.execute(others)}
        found |= {name: Member(principal=name, team=team, role=role, home=True) for name, role in self.connection.execute(homes)}
        return [found[name] for name in sorted(found)]

    def put_member(self, team: str, principal: str, role: str) -> None:
        """Give `principal` a role in a team that is not its home.

        Raises:
            NotFound: there is no such team or principal.
        """
        self.get(team)
        self.tx.principals.get(principal)
        row = {"principal": principal, "team": team, "role": role, "created": self.now}
        self.upsert(memberships, row, keep=["created"])

    def remove_member(self, team: str, principal: str) -> None:
        """Take the role away.

        Raises:
            NotFound: the principal has none there, or it is its home team.
        """
        gone = sa.delete(memberships).where(memberships.c.team == team, memberships.c.principal == principal)
        if not self.connection.execute(gone).rowcount:
            raise NotFound(f"{principal} has no role in team {team!r} besides its home team's.")
