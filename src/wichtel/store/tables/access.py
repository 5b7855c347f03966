"""Who may knock, and who did what."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from wichtel.store.tables.base import Key, counted, metadata, refers, required
from wichtel.store.types import Json, Time

principals = sa.Table(
    "principals",
    metadata,
    sa.Column("name", Key, primary_key=True),
    required("kind", Key),
    required("team", Key),
    required("role", sa.Text),
    required("created", Time),
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("hash", Key, primary_key=True),
    required("principal", Key, refers("principals.name"), index=True),
    required("scopes", Json(tuple[str, ...])),
    sa.Column("expires", Time),
    required("created", Time),
)

audit = sa.Table(
    "audit",
    metadata,
    counted(),
    required("principal", Key, index=True),
    required("action", Key),
    required("subject", Key, index=True),
    required("detail", Json(Any)),
    required("created", Time),
    sqlite_autoincrement=True,
)
