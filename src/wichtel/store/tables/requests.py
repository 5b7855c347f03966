"""What is kept of requests: the answers to those that must be carried out once, and how many there were and how long they took."""

from __future__ import annotations

import sqlalchemy as sa

from wichtel.store.tables.base import Key, metadata, required
from wichtel.store.types import Json, Time

idempotency = sa.Table(
    "idempotency",
    metadata,
    sa.Column("principal", Key, primary_key=True),
    # A digest: the key itself opens the body.
    sa.Column("key", Key, primary_key=True),
    required("route", Key),
    required("request", Key),
    required("status", sa.Integer),
    required("headers", Json(dict[str, str])),
    required("body", sa.LargeBinary),
    required("created", Time, index=True),
)

request_stats = sa.Table(
    "request_stats",
    metadata,
    sa.Column("hour", Time, primary_key=True),
    sa.Column("replica", Key, primary_key=True),
    sa.Column("call", Key, primary_key=True),
    # 2 for 200 to 299, and so on.
    sa.Column("status_class", sa.Integer, primary_key=True, autoincrement=False),
    required("count", sa.Integer),
    required("sum_ms", sa.Float),
    required("max_ms", sa.Float),
    required("buckets", Json(dict[int, int])),
    required("principals", Json(tuple[str, ...])),
)
