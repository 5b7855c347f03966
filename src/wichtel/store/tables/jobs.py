"""Jobs that come round, and what the exporter wrote."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from wichtel.store.tables.base import Key, metadata, required
from wichtel.store.types import Json, Time

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("name", Key, primary_key=True),
    required("every_seconds", sa.Float),
    required("due", Time),
    # When somebody asked for it to be carried out at once; null again as soon as it is.
    sa.Column("requested", Time),
    # Who carries it out, until when its claim holds, and which claim it is; empty when nobody does.
    required("holder", Key),
    sa.Column("expires", Time),
    required("token", sa.BigInteger),
    sa.Column("started", Time),
    sa.Column("ended", Time),
    sa.Column("outcome", Json(dict[str, Any])),
    required("error", sa.Text),
    required("failures", sa.Integer),
)

exports = sa.Table(
    "exports",
    metadata,
    # Given by the exporter, so that whoever takes the same number twice finds out.
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    required("rows", sa.Integer),
    # Day of finish → bytes of that day's file.
    required("files", Json(dict[str, int])),
    required("created", Time),
    # Null until all its files are there.
    sa.Column("written", Time),
)
