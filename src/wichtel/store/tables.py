"""Every table. A change here needs a revision in `migrations/versions`; a test compares the two.

A domain value is stored as the columns that are searched or change, and one JSON document for the rest.
Foreign keys are checked at commit, so that the rows of one transaction may come in any order.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from wichtel.domain import (
    Analysis,
    Constraint,
    ExperimentConfig,
    ExperimentResult,
    Registration,
    RunSpec,
    StudySpec,
    Trial,
)
from wichtel.store.types import Json, Time

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


#: Ids and names: sorted by code point on both databases, so that pages come in one order and an index finds a prefix.
Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _required(name: str, kind: Any, *args: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, *args, nullable=False, **options)


def _refers(target: str) -> sa.ForeignKey:
    return sa.ForeignKey(target, deferrable=True, initially="DEFERRED")


def _number() -> sa.Column[Any]:
    """A key that the database counts up. SQLite counts only keys of type INTEGER, which hold 64 bits there."""
    return sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True)


models = sa.Table(
    "models",
    metadata,
    sa.Column("name", Key, primary_key=True),
    _required("owner", Key, index=True),
    _required("team", Key),
    _required("head", sa.Text),
    _required("created", Time),
)

versions = sa.Table(
    "versions",
    metadata,
    sa.Column("id", Key, primary_key=True),
    _required("model", Key, _refers("models.name")),
    _required("tree", sa.Text),
    sa.Column("parent", Key),
    _required("recipe", sa.Text),
    _required("experiment", Key, index=True),
    _required("created", Time),
    _required("analysis", Json(Analysis)),
    sa.Index(None, "model", "created"),
)

datasets = sa.Table(
    "datasets",
    metadata,
    sa.Column("name", Key, primary_key=True),
    _required("digest", Key),
    _required("time_column", sa.Text),
    _required("columns", Json(dict[str, str])),
    _required("rows", sa.BigInteger),
    _required("start", Time),
    _required("end", Time),
    _required("owner", Key),
    _required("created", Time),
)

intents = sa.Table(
    "intents",
    metadata,
    sa.Column("name", Key, primary_key=True),
    sa.Column("models", Key, primary_key=True),
    _required("primary", sa.Text),
    _required("help", sa.Text),
    _required("constraints", Json(tuple[Constraint, ...])),
    _required("owner", Key),
    _required("created", Time),
)

quota_groups = sa.Table(
    "quota_groups",
    metadata,
    sa.Column("name", Key, primary_key=True),
    _required("max_in_progress", sa.Integer),
)

registrations = sa.Table(
    "registrations",
    metadata,
    sa.Column("id", Key, primary_key=True),
    _required("owner", Key, index=True),
    _required("created", Time),
    sa.Column("canceled", Time),
    _required("document", Json(Registration)),
)

experiments = sa.Table(
    "experiments",
    metadata,
    sa.Column("id", Key, primary_key=True),
    _required("registration", Key, _refers("registrations.id"), index=True),
    _required("model", Key, _refers("models.name")),
    _required("target", Key),
    _required("protocol", Key),
    _required("intent", Key),
    _required("owner", Key),
    _required("quota_group", Key),
    _required("state", sa.Text),
    sa.Column("status", sa.Text),
    _required("cause", sa.Text),
    _required("generation", sa.Integer),
    _required("workflow", Key),
    _required("created", Time),
    sa.Column("started", Time),
    sa.Column("finished", Time),
    _required("config", Json(ExperimentConfig)),
    sa.Column("result", Json(ExperimentResult)),
    # Each filter of a search with its order, newest first; and the scheduler's question, the oldest waiting of a group.
    sa.Index(None, "created", "id"),
    sa.Index(None, "owner", "created", "id"),
    sa.Index(None, "model", "created", "id"),
    sa.Index(None, "protocol", "created", "id"),
    sa.Index(None, "intent", "created", "id"),
    sa.Index(None, "status", "created", "id"),
    sa.Index(None, "state", "quota_group", "created", "id"),
)

runs = sa.Table(
    "runs",
    metadata,
    # In the order of submission: first come, first served, also among those of one transaction.
    _number(),
    _required("id", Key, unique=True),
    _required("owner", Key),
    _required("priority", sa.Integer),
    _required("state", sa.Text),
    _required("attempt", sa.Integer),
    _required("worker", Key),
    _required("created", Time),
    sa.Column("started", Time),
    sa.Column("ended", Time),
    _required("spec", Json(RunSpec)),
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
    sa.Column("run", Key, _refers("runs.id"), primary_key=True),
    _required("reason", sa.Text),
)

measurements = sa.Table(
    "measurements",
    metadata,
    sa.Column("run", Key, _refers("runs.id"), primary_key=True),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
    _required("metrics", Json(dict[str, float])),
)

studies = sa.Table(
    "studies",
    metadata,
    sa.Column("id", Key, primary_key=True),
    _required("name", Key, unique=True),
    _required("state", sa.Text),
    _required("reason", sa.Text),
    _required("created", Time),
    sa.Column("started", Time),
    sa.Column("ended", Time),
    _required("spec", Json(StudySpec)),
    sa.Index(None, "state", "created"),
)

trials = sa.Table(
    "trials",
    metadata,
    sa.Column("study", Key, _refers("studies.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    _required("state", sa.Text),
    _required("document", Json(Trial)),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", Key, primary_key=True),
    # Empty when it was given back. The row stays, so that the token never goes down.
    _required("holder", Key),
    _required("token", sa.BigInteger),
    _required("expires", Time),
)

replicas = sa.Table(
    "replicas",
    metadata,
    sa.Column("id", Key, primary_key=True),
    _required("roles", Json(tuple[str, ...])),
    _required("started", Time),
    _required("beat", Time, index=True),
)

principals = sa.Table(
    "principals",
    metadata,
    sa.Column("name", Key, primary_key=True),
    _required("kind", Key),
    _required("team", Key),
    _required("role", sa.Text),
    _required("created", Time),
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("hash", Key, primary_key=True),
    _required("principal", Key, _refers("principals.name"), index=True),
    _required("scopes", Json(tuple[str, ...])),
    sa.Column("expires", Time),
    _required("created", Time),
)

audit = sa.Table(
    "audit",
    metadata,
    _number(),
    _required("principal", Key, index=True),
    _required("action", Key),
    _required("subject", Key, index=True),
    _required("detail", Json(Any)),
    _required("created", Time),
    sqlite_autoincrement=True,
)

events = sa.Table(
    "events",
    metadata,
    _number(),
    _required("kind", Key),
    _required("subject", Key),
    _required("data", Json(Any)),
    _required("created", Time),
    sa.Index(None, "subject", "number"),
    sqlite_autoincrement=True,
)
