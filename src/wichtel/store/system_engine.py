"""The second engine on the same database, for the tables of the workflow engine.

It has to be a second one: on SQLite the workflow engine begins its transactions by itself, and on both databases its waiting must not
use up the connections that the other rooms work with. Both write to one database, so that a workflow can still be enqueued in a
`Transaction`: by statements on that transaction's own connection.
"""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

import sqlalchemy as sa

from wichtel.domain.errors import InvalidInput
from wichtel.store.database import end_idle_transactions

if TYPE_CHECKING:
    from wichtel.store.database import Database

_CONNECTIONS = 12


def system_engine(database: Database) -> sa.Engine:
    """Make an engine for the workflow engine's tables in `database`. The caller disposes of it.

    Raises:
        InvalidInput: the database is in memory, where a second engine would not see it.
    """
    url = database.engine.url
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise InvalidInput("durable workflows need a database that lasts.", where="sqlite://", hint="Use a file, or InlineWorkflows.")
    engine = sa.create_engine(url, pool_size=_CONNECTIONS, max_overflow=0, pool_pre_ping=not database.is_sqlite)
    sa.event.listen(engine, "connect", _prepare_sqlite if database.is_sqlite else end_idle_transactions)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # Takes the write lock with the first statement that writes: one that is taken later could be refused.
    connection.isolation_level = "IMMEDIATE"
    for setting in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {setting}").close()
    if sqlite3.sqlite_version_info < (3, 42):
        # unixepoch('subsec'), which these versions do not know.
        connection.create_function("unixepoch", 1, lambda _modifier: time.time())
