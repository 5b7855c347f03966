"""Bringing a PostgreSQL database up to date while replicas of older versions work on it.

Changing a table takes a lock on it, which waits for whoever uses the table and makes everybody else wait behind it. So each revision has a
transaction of its own that gives up soon if it does not get its locks, and is tried again. Indexes of tables that hold rows are made
afterwards, by CREATE INDEX CONCURRENTLY, which keeps nobody from writing. What was cut short is found and made again by the next upgrade.
"""

from __future__ import annotations

import logging
import time

import sqlalchemy as sa

from wichtel.domain import SystemFault
from wichtel.store import schema
from wichtel.store.tables import metadata

_log = logging.getLogger(__name__)

#: How long others may be made to wait for a change of a table.
LOCK_SECONDS = 2.0
_ATTEMPTS = 30
_PAUSE_SECONDS = 1.0
_LOCK_NOT_AVAILABLE = "55P03"
#: Another advisory lock than that of the revisions: who waits for one in a transaction would keep an index from being finished.
_INDEX_LOCK = 0x57_49_43_48_54_45_4D + 1

_VALID_INDEXES = """
SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.indisvalid AND n.nspname = current_schema()
"""


def upgrade_online(engine: sa.Engine) -> None:
    """Bring the tables to `schema.HEAD`, then make the indexes that are missing.

    Raises:
        DatabaseTooNew: this code cannot use the database.
        SystemFault: a table was in use all the time.
    """
    while _step(engine):
        pass
    _make_indexes(engine)


def _step(engine: sa.Engine) -> bool:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with engine.begin() as connection:
                connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS * 1000:.0f}ms'"))
                return schema.upgrade(connection, step=True)
        except sa.exc.OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            _log.info("a table is in use, trying again (%d of %d)", attempt, _ATTEMPTS)
            time.sleep(_PAUSE_SECONDS)
    raise SystemFault(
        "a table was in use all the time, so that it could not be changed.",
        where=engine.url.render_as_string(hide_password=True),
        hint="Look for a long transaction in pg_stat_activity, end it, and try again.",
    )


def _make_indexes(engine: sa.Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not _missing(connection):
            return
        # Not by waiting in a statement: while one waits, no index can be finished.
        while not connection.execute(sa.select(sa.func.pg_try_advisory_lock(_INDEX_LOCK))).scalar_one():
            time.sleep(_PAUSE_SECONDS)
        try:
            for index in _missing(connection):
                # One that was cut short is there, but of no use.
                connection.execute(sa.schema.DropIndex(index, if_exists=True))
                _log.info("making index %s", index.name)
                connection.execute(_concurrently(index, connection.dialect))
        finally:
            connection.execute(sa.select(sa.func.pg_advisory_unlock(_INDEX_LOCK)))


def _missing(connection: sa.Connection) -> list[sa.Index]:
    there = set(connection.execute(sa.text(_VALID_INDEXES)).scalars())
    return [index for table in metadata.tables.values() for index in sorted(table.indexes, key=str) if index.name not in there]


def _concurrently(index: sa.Index, dialect: sa.Dialect) -> sa.TextClause:
    statement = str(sa.schema.CreateIndex(index).compile(dialect=dialect))
    kind, _, rest = statement.partition(" INDEX ")
    return sa.text(f"{kind} INDEX CONCURRENTLY {rest}")
