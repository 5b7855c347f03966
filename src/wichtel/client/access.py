"""Who may do what: teams, principals, access tokens, the audit log."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from wichtel.client.connection import Connection
from wichtel.store import Entry, Member, Principal, Team, TokenInfo, codec


class Teams:
    """Teams. Changing them needs the role admin."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, name: str, *, description: str = "") -> Team:
        """Make a team, or describe it anew."""
        body = {"name": name, "description": description}
        return codec.read(self._connection.call("PUT", "/v1/teams", body=body).content, Team)

    def get(self, name: str) -> Team:
        """One team.

        Raises:
            NotFound: there is none.
        """
        return self._connection.get(Team, f"/v1/teams/{quote(name)}")

    def list(self) -> builtins.list[Team]:
        """All of them, by name."""
        return self._connection.all(Team, "/v1/teams")

    def members(self, team: str) -> builtins.list[Member]:
        """Who has a role in a team.

        Raises:
            NotFound: there is no such team.
        """
        return self._connection.all(Member, "/v1/members", team=team)

    def put_member(self, team: str, principal: str, role: str) -> Member:
        """Give somebody a role in a team that is not their home.

        Args:
            team: Which.
            principal: Whom.
            role: viewer, editor or approver.

        Raises:
            NotFound: there is no such team or principal.
        """
        body = {"team": team, "principal": principal, "role": role}
        return codec.read(self._connection.call("PUT", "/v1/members", body=body).content, Member)

    def remove_member(self, team: str, principal: str) -> None:
        """Take it away.

        Raises:
            NotFound: they have none.
        """
        self._connection.call("DELETE", "/v1/members", query={"team": team, "principal": principal})


class Principals:
    """Users and service accounts. Changing them needs the role admin."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, name: str, *, role: str = "viewer", team: str = "default", kind: str = "user", email: str | None = None) -> Principal:
        """Make one.

        Args:
            name: Of letters, digits, ``. _ -``.
            role: In the home team: viewer, editor, approver; or admin, of the whole service.
            team: The home.
            kind: user or service.
            email: For notifications.

        Raises:
            AlreadyExists: the name is taken.
        """
        body = {"name": name, "role": role, "team": team, "kind": kind, "email": email}
        return codec.read(self._connection.call("POST", "/v1/principals", body=body).content, Principal)

    def get(self, name: str) -> Principal:
        """One of them.

        Raises:
            NotFound: there is none.
        """
        return self._connection.get(Principal, f"/v1/principals/{quote(name)}")

    def list(self) -> builtins.list[Principal]:
        """All of them, by name."""
        return self._connection.all(Principal, "/v1/principals")

    def change(self, name: str, *, team: str | None = None, role: str | None = None, email: str | None = None) -> Principal:
        """Set what is given; an empty e-mail address takes it away.

        Raises:
            NotFound: there is none of that name.
            IllegalTransition: there would be no admin left.
        """
        body = {"team": team, "role": role, "email": email}
        return codec.read(self._connection.call("PATCH", f"/v1/principals/{quote(name)}", body=body).content, Principal)

    def disable(self, name: str) -> Principal:
        """Let it come in no more.

        Raises:
            NotFound: there is none of that name.
            IllegalTransition: it is disabled already, or the last admin.
        """
        return codec.read(self._connection.call("POST", f"/v1/principals/{quote(name)}:disable").content, Principal)

    def enable(self, name: str) -> Principal:
        """Let it come in again.

        Raises:
            NotFound: there is none of that name.
            IllegalTransition: it is not disabled.
        """
        return codec.read(self._connection.call("POST", f"/v1/principals/{quote(name)}:enable").content, Principal)


class Tokens:
    """Access tokens."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self,
        name: str | None = None,
        *,
        role: str | None = None,
        team: str | None = None,
        scopes: Sequence[str] = (),
        label: str = "",
        expires: datetime | None = None,
    ) -> str:
        """Make a token. It cannot be read again.

        Args:
            name: Whom it is for; by default yourself. For others it takes the role admin.
            role: Makes `name` a principal with this role, if it is none yet.
            team: Its home, then.
            scopes: What it may be used for: read, experiments:write, models:write, admin; none for all that its principal may do.
            label: What it is for, in words.
            expires: Aware; None for never.

        Raises:
            NotFound: `name` is no principal, and there is no `role`.
        """
        body = {"name": name, "role": role, "team": team, "scopes": list(scopes), "label": label, "expires": expires}
        answer = self._connection.call("POST", "/v1/tokens", body=body)
        return codec.read(answer.content, dict[str, str])["token"]

    def list(self, principal: str | None = None, *, everyone: bool = False) -> builtins.list[TokenInfo]:
        """Your own; or those of `principal`, or of everyone, for admins."""
        return self._connection.all(TokenInfo, "/v1/tokens", principal=principal, everyone=everyone or None)

    def revoke(self, identity: str) -> None:
        """End a token, given by its id or as a whole.

        Raises:
            NotFound: there is none.
        """
        # Never the whole of it in an address, which servers write down.
        parts = identity.split("_", 2)
        self._connection.call("DELETE", f"/v1/tokens/{quote(parts[1] if len(parts) == 3 else identity, safe='')}")


class Audit:
    """Who changed what."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(
        self,
        *,
        principal: str | None = None,
        subject: str | None = None,
        action: str | None = None,
        outcome: str | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        limit: int | None = 100,
    ) -> builtins.list[Entry]:
        """Newest first; admins see all, others their own and what concerns their teams.

        Args:
            principal: Who did it.
            subject: What it was done to.
            action: Such as ``launch``.
            outcome: done or denied.
            created_from: Aware.
            created_before: Aware.
            limit: Most that are returned; None for all.
        """
        wanted = {"principal": principal, "subject": subject, "action": action, "outcome": outcome}
        return self._connection.pages(Entry, "/v1/audit", limit, **wanted, created_from=created_from, created_before=created_before)


def me(connection: Connection) -> dict[str, Any]:
    """Who asks: name, kind, team, role, teams, scopes, email, session."""
    return codec.read(connection.call("GET", "/v1/me").content, dict[str, Any])
