"""Which versions may use the database."""

from __future__ import annotations

import sqlalchemy as sa

from wichtel.store.tables.base import Key, metadata, required

#: One row, with `number` 1. `wichtel.store.schema` reads and writes it in plain SQL, since it must do so whatever the version.
compatibility = sa.Table(
    "compatibility",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    # The oldest revision whose code can use this database.
    required("oldest", Key),
)
