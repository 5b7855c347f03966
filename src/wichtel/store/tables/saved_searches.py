"""Searches that are kept under names."""

from __future__ import annotations

import sqlalchemy as sa

from wichtel.store.tables.base import Key, metadata, required
from wichtel.store.types import Json, Time

saved_searches = sa.Table(
    "saved_searches",
    metadata,
    sa.Column("id", Key, primary_key=True),
    required("owner", Key),
    required("name", Key),
    required("query", sa.Text),
    required("sort", sa.Text),
    required("columns", Json(tuple[str, ...])),
    # Empty unless it is shared.
    required("team", Key),
    required("created", Time),
    sa.Index(None, "owner", "name", unique=True),
    sa.Index(None, "team"),
)
