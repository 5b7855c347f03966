"""Models, their versions, datasets, intents."""

from __future__ import annotations

import sqlalchemy as sa

from wichtel.domain import Analysis, Constraint
from wichtel.store.tables.base import Key, metadata, refers, required
from wichtel.store.types import Json, Time

models = sa.Table(
    "models",
    metadata,
    sa.Column("name", Key, primary_key=True),
    required("owner", Key, index=True),
    required("team", Key),
    required("head", sa.Text),
    required("created", Time),
    sa.Column("archived", Time),
)

versions = sa.Table(
    "versions",
    metadata,
    sa.Column("id", Key, primary_key=True),
    required("model", Key, refers("models.name")),
    required("tree", sa.Text),
    sa.Column("parent", Key),
    required("recipe", sa.Text),
    required("experiment", Key, index=True),
    required("created", Time),
    required("analysis", Json(Analysis)),
    sa.Index(None, "model", "created"),
)

datasets = sa.Table(
    "datasets",
    metadata,
    sa.Column("name", Key, primary_key=True),
    required("digest", Key),
    required("time_column", sa.Text),
    required("columns", Json(dict[str, str])),
    required("rows", sa.BigInteger),
    required("start", Time),
    required("end", Time),
    required("owner", Key),
    required("created", Time),
)

intents = sa.Table(
    "intents",
    metadata,
    sa.Column("name", Key, primary_key=True),
    sa.Column("models", Key, primary_key=True),
    required("primary", sa.Text),
    required("help", sa.Text),
    required("constraints", Json(tuple[Constraint, ...])),
    required("owner", Key),
    required("created", Time),
)
