"""Who may do what: access tokens."""

from __future__ import annotations

from datetime import datetime

from wichtel.client.connection import Connection
from wichtel.store import codec


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
