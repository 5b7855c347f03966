"""Who leads, who lives."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from wichtel.store.tables.base import Key, metadata, required
from wichtel.store.types import Json, Time

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", Key, primary_key=True),
    # Empty when it was given back. The row stays, so that the token never goes down.
    required("holder", Key),
    required("token", sa.BigInteger),
    required("expires", Time),
)

replicas = sa.Table(
    "replicas",
    metadata,
    sa.Column("id", Key, primary_key=True),
    required("roles", Json(tuple[str, ...])),
    required("started", Time),
    required("beat", Time, index=True),
    required("version", sa.Text, server_default="unknown"),
    # What it says of itself: whether it drains, what its workers do.
    required("told", Json(dict[str, Any]), server_default="{}"),
)
