"""What happened."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from wichtel.store.tables.base import Key, counted, metadata, required
from wichtel.store.types import Json, Time

events = sa.Table(
    "events",
    metadata,
    counted(),
    required("kind", Key),
    required("subject", Key),
    required("data", Json(Any)),
    required("created", Time),
    sa.Index(None, "subject", "number"),
    sqlite_autoincrement=True,
)
