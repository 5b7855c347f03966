"""Shares, limits, and what waits for them."""

from __future__ import annotations

import builtins
from urllib.parse import quote

from wichtel.client.connection import Connection
from wichtel.domain import ALL, Limit, LimitKind, Queue, QuotaGroup, Waiting
from wichtel.store import codec


class QuotaGroups:
    """The teams' shares. What changes them needs the role admin."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, group: QuotaGroup) -> QuotaGroup:
        """Set a team's share. Whether it is paused stays as it is."""
        return codec.read(self._connection.call("PUT", "/v1/quota-groups", body=group).content, QuotaGroup)

    def list(self) -> builtins.list[QuotaGroup]:
        """The shares that somebody set."""
        return self._connection.all(QuotaGroup, "/v1/quota-groups")

    def get(self, name: str) -> QuotaGroup:
        """The share of a group.

        Raises:
            NotFound: nothing was set for it.
        """
        return self._connection.get(QuotaGroup, f"/v1/quota-groups/{quote(name)}")

    def delete(self, name: str) -> None:
        """Forget what was set for a group: it has the default share then, and is not paused.

        Raises:
            NotFound: nothing was set for it.
        """
        self._connection.call("DELETE", f"/v1/quota-groups/{quote(name)}")

    def pause(self, name: str, reason: str = "") -> QuotaGroup:
        """Have nothing of a group start from now on; what was started goes on."""
        answer = self._connection.call("POST", f"/v1/quota-groups/{quote(name)}:pause", body={"reason": reason})
        return codec.read(answer.content, QuotaGroup)

    def resume(self, name: str) -> QuotaGroup:
        """Let a group start again.

        Raises:
            NotFound: nothing was set for it.
        """
        return codec.read(self._connection.call("POST", f"/v1/quota-groups/{quote(name)}:resume").content, QuotaGroup)


class Limits:
    """How many experiments users and protocols may have at once. What changes them needs the role admin."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, limit: Limit) -> Limit:
        """Set a limit, in the place of an earlier one of the same group, kind and name."""
        return codec.read(self._connection.call("PUT", "/v1/limits", body=limit).content, Limit)

    def list(self) -> builtins.list[Limit]:
        """All of them."""
        return self._connection.all(Limit, "/v1/limits")

    def delete(self, kind: LimitKind, name: str, quota_group: str = ALL) -> None:
        """Lift a limit.

        Raises:
            NotFound: there is none.
        """
        self._connection.call("DELETE", "/v1/limits", query={"kind": kind, "name": name, "quota_group": quota_group})


class Waits:
    """What waits, and why."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def why(self, experiment: str) -> Waiting:
        """Why an experiment waits: for its start, or for workers.

        Raises:
            NotFound: there is none of that id.
        """
        return self._connection.get(Waiting, f"/v1/experiments/{quote(experiment)}/waiting")

    def get(self, *, group: str | None = None, limit: int = 100, cursor: str | None = None) -> Queue:
        """How the groups stand, and the experiments that wait for their start.

        Args:
            group: This one alone.
            limit: At most so many experiments, 1,000 at most.
            cursor: `Queue.cursor` of the page before.
        """
        return self._connection.get(Queue, "/v1/queue", group=group, limit=limit, cursor=cursor)
