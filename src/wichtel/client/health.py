"""How the service stands."""

from __future__ import annotations

from wichtel.client.connection import Connection
from wichtel.domain.health import SystemHealth


class Health:
    """The health of the service."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self) -> SystemHealth:
        """Its replicas, who leads, what waits, what the workers do, its jobs, its database."""
        return self._connection.get(SystemHealth, "/v1/health")
