"""How the service is used."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from wichtel.client.connection import Connection

if TYPE_CHECKING:
    from wichtel.experiments import CallUsage, ProtocolUsage, StatusUsage, TimeUsage, UsageReport


class Usage:
    """What was done with the service, and by how many."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def requests(self, since: datetime | None = None, before: datetime | None = None) -> list[CallUsage]:
        """Table I of the paper: how often each call was made, and how long it took; the most frequent first.

        Args:
            since: Aware; only hours that began then or later.
            before: Aware; only hours that began earlier.
        """
        from wichtel.experiments import CallUsage

        return self._connection.all(CallUsage, "/v1/usage/requests", since=since, before=before)

    def report(self, since: datetime | None = None, before: datetime | None = None, team: str | None = None) -> UsageReport:
        """Tables I to IV of the paper, with their totals.

        Args:
            since: Aware; only experiments that finished then or later, and requests of hours that began so.
            before: Aware; likewise earlier.
            team: Only experiments of this team; requests are not told apart.
        """
        from wichtel.experiments import UsageReport

        return self._connection.get(UsageReport, "/v1/usage", since=since, before=before, team=team)

    def statuses(self, since: datetime | None = None, before: datetime | None = None, team: str | None = None) -> list[StatusUsage]:
        """Table II alone: users, experiments and models by status; the arguments are those of `report`."""
        from wichtel.experiments import StatusUsage

        return self._connection.all(StatusUsage, "/v1/usage/statuses", since=since, before=before, team=team)

    def times(self, since: datetime | None = None, before: datetime | None = None, team: str | None = None) -> list[TimeUsage]:
        """Table III alone: median times by status; the arguments are those of `report`."""
        from wichtel.experiments import TimeUsage

        return self._connection.all(TimeUsage, "/v1/usage/times", since=since, before=before, team=team)

    def protocols(self, since: datetime | None = None, before: datetime | None = None, team: str | None = None) -> list[ProtocolUsage]:
        """Table IV alone: what came of each protocol; the arguments are those of `report`."""
        from wichtel.experiments import ProtocolUsage

        return self._connection.all(ProtocolUsage, "/v1/usage/protocols", since=since, before=before, team=team)
