"""Runs and what they measured; studies and their trials."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from wichtel.domain import RunSpec, StudySpec, Trial
from wichtel.store.tables.base import Key, counted, metadata, refers, required
from wichtel.store.types import Json, Time

runs = sa.Table(
    "runs",
    metadata,
    # In the order of submission: first come, first served, also among those of one transaction.
    counted(),
    required("id", Key, unique=True),
    required("owner", Key),
    required("priority", sa.Integer),
    # Null in rows of versions that did not write it.
    sa.Column("quota_group", Key),
    required("state", sa.Text),
    required("attempt", sa.Integer),
    required("worker", Key),
    required("created", Time),
    sa.Column("started", Time),
    sa.Column("ended", Time),
    required("spec", Json(RunSpec)),
    sa.Column("result", Json(Any)),
    sa.Column("error", Json(dict[str, Any])),
    sa.Index(None, "owner", "number"),
    sa.Index(None, "state", "priority", "number"),
    sqlite_autoincrement=True,
)

# Wishes that the fleet's leader has not fulfilled yet.
cancellations = sa.Table(
    "cancellations",
    metadata,
    sa.Column("run", Key, refers("runs.id"), primary_key=True),
    required("reason", sa.Text),
)

measurements = sa.Table(
    "measurements",
    metadata,
    sa.Column("run", Key, refers("runs.id"), primary_key=True),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
    required("metrics", Json(dict[str, float])),
)

studies = sa.Table(
    "studies",
    metadata,
    sa.Column("id", Key, primary_key=True),
    required("name", Key, unique=True),
    required("state", sa.Text),
    required("reason", sa.Text),
    required("created", Time),
    sa.Column("started", Time),
    sa.Column("ended", Time),
    required("spec", Json(StudySpec)),
    sa.Index(None, "state", "created"),
    sa.Index(None, "created", "id"),
)

trials = sa.Table(
    "trials",
    metadata,
    sa.Column("study", Key, refers("studies.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    required("state", sa.Text),
    required("document", Json(Trial)),
)
