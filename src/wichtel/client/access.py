"""Who may do what: the teams' shares, access tokens."""

from __future__ import annotations

import builtins
from datetime import datetime

from wichtel.client.connection import Connection
from wichtel.domain import QuotaGroup
from wichtel.store import codec


class QuotaGroups:
    """The teams' shares."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, group: QuotaGroup) -> QuotaGroup:
        """Set a team's share; needs the role admin."""
        return codec.read(self._connection.call("PUT", "/v1/quota-groups", body=group).content, QuotaGroup)

    def list(self) -> builtins.list[QuotaGroup]:
        """The shares that somebody set."""
        return self._connection.all(QuotaGroup, "/v1/quota-groups")


class Tokens:
    """Access tokens."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, name: str, *, role: str, team: str = "default", expires: datetime | None = None) -> str:
        """Make a token for the user or service account `name`; needs the role admin. It cannot be read again.

        Args:
            name: Whom it is for.
            role: viewer, editor, approver or admin.
            team: Theirs.
            expires: Aware; None for never.
        """
        body = {"name": name, "role": role, "team": team, "expires": expires}
        answer = self._connection.call("POST", "/v1/tokens", body=body)
        return codec.read(answer.content, dict[str, str])["token"]
