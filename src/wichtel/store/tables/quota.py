"""The shares of teams, and the limits of users and protocols."""

from __future__ import annotations

import sqlalchemy as sa

from wichtel.domain.quota import Pause
from wichtel.store.tables.base import Key, metadata, required
from wichtel.store.types import Json

quota_groups = sa.Table(
    "quota_groups",
    metadata,
    sa.Column("name", Key, primary_key=True),
    required("max_in_progress", sa.Integer),
    sa.Column("max_runs", sa.Integer),
    sa.Column("max_cpus", sa.Double),
    sa.Column("max_gpus", sa.Double),
    sa.Column("max_memory_bytes", sa.BigInteger),
    sa.Column("paused", Json(Pause)),
)

limits = sa.Table(
    "limits",
    metadata,
    sa.Column("quota_group", Key, primary_key=True),
    sa.Column("kind", Key, primary_key=True),
    sa.Column("name", Key, primary_key=True),
    sa.Column("max_in_progress", sa.Integer),
    sa.Column("max_starts_per_hour", sa.Integer),
)
