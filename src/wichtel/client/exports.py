"""Finished experiments as files for analysis."""

from __future__ import annotations

import builtins
from datetime import datetime
from typing import Literal
from urllib.parse import quote

from wichtel.client.connection import Connection
from wichtel.store import Export


class Exports:
    """What the exporter has written, and all that has finished."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> builtins.list[Export]:
        """The exports, by number."""
        return self._connection.all(Export, "/v1/exports")

    def file(self, number: int, day: str) -> bytes:
        """The Parquet file of one day, such as ``2026-11-22``, of an export.

        Raises:
            NotFound: there is none.
        """
        return self._connection.call("GET", f"/v1/exports/{number}/files/{quote(day)}").content

    def records(
        self,
        *,
        since: datetime | None = None,
        before: datetime | None = None,
        team: str | None = None,
        format: Literal["parquet", "csv"] = "parquet",  # noqa: A002
    ) -> bytes:
        """Every experiment that finished in that time, exported or not, as one file.

        Args:
            since: Aware; only what finished then or later.
            before: Aware; only what finished earlier.
            team: Only that team's.
            format: Of the file.
        """
        query = {"since": since, "before": before, "team": team, "format": format}
        return self._connection.call("GET", "/v1/exports/records", query=query).content
