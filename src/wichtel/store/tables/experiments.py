"""Registrations, experiments."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from wichtel.domain import ExperimentConfig, ExperimentResult, Failure, Registration
from wichtel.domain.query import TEXT_FIELDS
from wichtel.store.tables.base import Key, metadata, refers, required
from wichtel.store.types import Json, Time

registrations = sa.Table(
    "registrations",
    metadata,
    sa.Column("id", Key, primary_key=True),
    required("owner", Key, index=True),
    required("created", Time),
    sa.Column("canceled", Time),
    required("document", Json(Registration)),
    sa.Index(None, "created", "id"),
)

experiments = sa.Table(
    "experiments",
    metadata,
    sa.Column("id", Key, primary_key=True),
    required("registration", Key, refers("registrations.id"), index=True),
    required("model", Key, refers("models.name")),
    required("target", Key),
    required("protocol", Key),
    required("intent", Key),
    required("owner", Key),
    required("quota_group", Key),
    required("priority", sa.Integer, server_default="0"),
    required("state", sa.Text),
    sa.Column("status", sa.Text),
    required("cause", sa.Text),
    required("generation", sa.Integer),
    required("workflow", Key),
    required("created", Time),
    sa.Column("started", Time),
    # When the first step of its workflow began.
    sa.Column("began", Time),
    sa.Column("finished", Time),
    required("config", Json(ExperimentConfig)),
    sa.Column("result", Json(ExperimentResult)),
    sa.Column("failure", Json(Failure)),
    # The export that it is a row of; null until it is.
    sa.Column("export", sa.BigInteger, index=True),
    # Of finished ones, to be searched by.
    sa.Column("duration_seconds", sa.Double),
    sa.Column("models_trained", sa.Integer),
    # Each filter of a search with its order, newest first.
    sa.Index(None, "created", "id"),
    sa.Index(None, "owner", "created", "id"),
    sa.Index(None, "model", "created", "id"),
    sa.Index(None, "protocol", "created", "id"),
    sa.Index(None, "intent", "created", "id"),
    sa.Index(None, "status", "created", "id"),
    sa.Index(None, "quota_group", "created", "id"),
    sa.Index(None, "state", "quota_group", "created", "id"),
    # The scheduler's questions: who is next in a group's line; who was started lately.
    sa.Index(None, "state", "quota_group", "priority", "created", "id"),
    sa.Index(None, "started"),
    # Orders of their own.
    sa.Index(None, "finished", "id"),
    sa.Index(None, "duration_seconds", "id"),
)

#: On PostgreSQL: every three characters in a row of what free words are looked for in. Its extension for this is not everywhere.
trigrams = sa.func.wichtel_trigrams(*(experiments.c[name] for name in TEXT_FIELDS), type_=postgresql.ARRAY(sa.Text))
_FUNCTION = """
CREATE OR REPLACE FUNCTION wichtel_trigrams(VARIADIC texts text[]) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1000 AS $$
SELECT coalesce(array_agg(DISTINCT substr(low, at, 3) COLLATE "C"), '{}')
FROM (SELECT lower(given COLLATE "C") AS low FROM unnest(texts) AS given) AS lowered, generate_series(1, length(low) - 2) AS at
$$
"""
_MAKE_FUNCTION: sa.DDL = sa.DDL(_FUNCTION)  # type: ignore[no-untyped-call]
sa.event.listen(metadata, "before_create", _MAKE_FUNCTION.execute_if(dialect="postgresql"))
sa.Index("ix_experiments_trigrams", trigrams, postgresql_using="gin").ddl_if(dialect="postgresql")
