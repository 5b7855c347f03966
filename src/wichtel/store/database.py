"""The database: opening it, units of work, and what a failure of it is called.

SQLite: WAL, so that readers never wait; a writer takes the write lock when it begins (``BEGIN IMMEDIATE``), so that what it reads stays
true until it commits; writers of this process queue at a lock of ours rather than in SQLite's polling. ``synchronous=NORMAL``: what was
committed survives the death of the process, also by kill -9; a power cut may take the last moments, but never leaves a damaged file.

PostgreSQL: READ COMMITTED; what must not interleave says so by conditional updates and row locks.
"""

from __future__ import annotations

import logging
import math
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from wichtel.domain import InvalidInput, StorageFailed, SystemFault, Unavailable
from wichtel.store import schema
from wichtel.store.online import upgrade_online
from wichtel.store.transaction import Transaction

log = logging.getLogger(__name__)

_BUSY_SECONDS = 30
#: Between two looks at a database that is waited for, and between two lines of the log about it.
_LOOK_SECONDS = 0.5
_TELL_SECONDS = 10.0
#: PostgreSQL ends a session that a frozen process left in the middle of a transaction, so that its locks do not stay.
_IDLE_IN_TRANSACTION = "20s"
#: What was used so lately is taken to be connected still.
_FRESH_SECONDS = 1.0
_WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE|MERGE|TRUNCATE|CREATE|ALTER|DROP)\b", re.IGNORECASE)
#: Said by a server that is there. Words rather than codes: of a connection that fails, the driver keeps no code.
_REFUSED = re.compile(r'FATAL: +(.*authentication failed|(database|role) ".*" does not exist|no pg_hba\.conf entry)')


class Database:
    """A SQLite file or a PostgreSQL database.

    Args:
        clock: What `Transaction.now` reads; the clock of the database if not given. For tests.
    """

    def __init__(self, engine: sa.Engine, *, clock: Callable[[], datetime] | None = None) -> None:
        #: The SQLAlchemy engine; other rooms hand it on without looking inside. Its transactions on SQLite are BEGIN IMMEDIATE.
        self.engine = engine
        self._readers = _readers(engine)
        # A cursor of PostgreSQL lives in a transaction.
        self._streams = self._readers if engine.dialect.name == "sqlite" else engine.execution_options(postgresql_readonly=True)
        self._clock = clock
        self._in_memory = isinstance(engine.pool, StaticPool)
        self._writer = threading.RLock()
        self._open = threading.local()

    @classmethod
    def open(cls, url: str, *, upgrade: bool = False, clock: Callable[[], datetime] | None = None) -> Self:
        """Open ``sqlite:///path/x.db`` (made if absent), ``sqlite://`` (in memory) or ``postgresql://…``.

        Args:
            upgrade: Bring its tables up to date; what is right for an embedded SQLite.

        Raises:
            InvalidInput: the URL is not one of these.
            DatabaseTooNew: a newer Wichtel wrote it, and not for this one to use.
            StorageFailed: its folder cannot be made, or its file not written.
            SystemFault: it cannot be reached.
        """
        database = cls(_engine(url), clock=clock)
        try:
            if upgrade:
                database.upgrade()
            else:
                with database.read() as tx:
                    tx.connection.exec_driver_sql("SELECT 1")
        except BaseException:
            database.close()
            raise
        return database

    @classmethod
    def open_patiently(cls, url: str, wait_seconds: float, *, upgrade: bool = False) -> Self:
        """The same, but a server that is away, because it starts itself or the network is not there yet, is waited for; the log says so.

        Raises:
            Unavailable: it did not come within that time.
            WichtelError: as `open`; who is refused does not wait.
        """
        if url.startswith("sqlite"):
            # A file does not come by waiting.
            return cls.open(url, upgrade=upgrade)
        deadline = time.monotonic() + wait_seconds
        told = -math.inf
        while True:
            try:
                return cls.open(url, upgrade=upgrade)
            except Unavailable as error:
                left = deadline - time.monotonic()
                if left <= 0:
                    if not wait_seconds:
                        raise
                    waited = f"the database did not come within {wait_seconds:g} seconds: {error.message}"
                    raise Unavailable(waited, where=error.where, hint=error.hint) from error
                if time.monotonic() - told >= _TELL_SECONDS:
                    told = time.monotonic()
                    log.warning("waiting for the database %s, for %.0f more seconds: %s", error.where, left, error.message)
                time.sleep(min(_LOOK_SECONDS, left))

    @property
    def url(self) -> str:
        """Where it is, without the password."""
        return self.engine.url.render_as_string(hide_password=True)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a SQLite file or in memory."""
        return self.engine.dialect.name == "sqlite"

    def upgrade(self) -> None:
        """Bring the tables up to date. Processes that do so at once wait for each other; replicas of an older version can go on meanwhile.

        Raises:
            DatabaseTooNew: a newer Wichtel wrote it, and not for this one to use.
        """
        with self.read() as tx:
            online = not self.is_sqlite and schema.revision(tx.connection) is not None
        if online:
            with translated(self.url):
                upgrade_online(self.engine)
        else:
            with self.transaction() as tx:
                schema.upgrade(tx.connection)

    def check(self) -> None:
        """Make sure that this Wichtel can use the tables: they are its own, or newer ones that are made for it to go on.

        Raises:
            DatabaseTooNew: a newer Wichtel wrote it, and not for this one to use.
            SystemFault: it needs `upgrade`.
        """
        with self.read() as tx:
            found = schema.revision(tx.connection)
        if found is None or found < schema.HEAD:
            raise SystemFault(
                f"the database is at revision {found or 'none'}, this version needs {schema.HEAD}.",
                where=self.url,
                hint="Run `wichtel db upgrade`.",
            )

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A unit of work that reads and writes: committed at the end, rolled back if an exception leaves it.

        Raises:
            RuntimeError: this thread is in one already; pass the outer one on instead.
            StorageFailed: the disk is full.
            SystemFault: the database is locked or gone.
            InvalidInput: a value does not fit into its column.
        """
        outer: Transaction | None = getattr(self._open, "transaction", None)
        if outer is not None:
            if not self._joins:
                raise RuntimeError("this thread has a transaction open already: pass it on instead of opening another")
            with translated(self.url), outer.part():
                yield outer
            return
        with self._lock(), translated(self.url), self.engine.begin() as connection:
            tx = Transaction(connection, self._clock)
            self._open.transaction = tx
            try:
                yield tx
                tx.flush_events()
            finally:
                self._open.transaction = None
        tx.committed()

    @contextmanager
    def together(self) -> Iterator[Transaction]:
        """A unit of work that all others which this thread opens within it become parts of: they are committed together at its end, or not.

        For what has to be stored with a change by somebody who does not make the change. Only what is short belongs into it: like any
        unit of work that writes, it may keep others from writing.

        Raises:
            RuntimeError: this thread is in a transaction of the ordinary kind.
        """
        with self.transaction() as tx:
            outer, self._open.joins = self._joins, True
            try:
                yield tx
            finally:
                self._open.joins = outer

    @property
    def _joins(self) -> bool:
        return getattr(self._open, "joins", False)

    @contextmanager
    def read(self, *, streams: bool = False) -> Iterator[Transaction]:
        """A unit of work that only reads: one snapshot on SQLite; never waits for a writer, nor makes one wait.

        Args:
            streams: Whether it reads more rows than fit into memory, a page at a time.

        Raises:
            SystemFault: the database is gone.
        """
        outer: Transaction | None = getattr(self._open, "transaction", None)
        if outer is not None and (self._in_memory or self._joins):
            # There is one connection only, and it is in use; or what it wrote is to be seen.
            yield outer
            return
        with self._lock(when=self._in_memory), translated(self.url), (self._streams if streams else self._readers).connect() as connection:
            if streams and not self.is_sqlite:
                # Whoever is given the rows may be slow, and they are locked for nobody.
                connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield Transaction(connection, self._clock)

    @contextmanager
    def _lock(self, *, when: bool = True) -> Iterator[None]:
        if when and self.is_sqlite:
            with self._writer:
                yield
        else:
            yield


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Other rooms know nothing of SQLAlchemy: what it raises leaves this room as an error of ours."""
    try:
        yield
    except sa.exc.OperationalError as error:
        text = str(error.orig)
        if "full" in text or "No space left" in text or "disk I/O" in text:
            raise StorageFailed(f"the database cannot write: {text}.", where=url, hint="Free some disk space.") from error
        if "readonly" in text:
            raise StorageFailed("the database cannot be written.", where=url, hint="Make its file and folder writable.") from error
        if "locked" in text:
            raise SystemFault(f"another process kept the database locked for {_BUSY_SECONDS} seconds.", where=url) from error
        if "no such table" in text:
            raise SystemFault("the database has no tables yet.", where=url, hint="Run `wichtel db upgrade`.") from error
        if _REFUSED.search(text):
            raise SystemFault(
                f"the database refuses: {text.strip()}.", where=url, hint="Are names and password in the URL right?"
            ) from error
        hint = None if "deadlock" in text else "Is the server running, and is the URL right?"
        # A deadlock is over when it is told, too.
        raise Unavailable(f"the database failed: {text.strip()}.", where=url, hint=hint) from error
    except sa.exc.ProgrammingError as error:
        if "does not exist" not in str(error.orig):
            raise
        raise SystemFault(f"a table is missing: {error.orig}.", where=url, hint="Run `wichtel db upgrade`.") from error
    except sa.exc.IntegrityError as error:
        raise SystemFault(f"a row refers to one that is not there: {error.orig}.", where=url) from error
    except sa.exc.DataError as error:
        raise _unfit(error.orig) from error
    except OverflowError as error:
        # The driver of SQLite refuses a number of more than 64 bits before the database sees it.
        if "SQLite" not in str(error):
            raise
        raise _unfit(error) from error
    except (sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        # A connection that broke in our hands, or none that became free.
        raise Unavailable(f"the database cannot be reached: {error}.", where=url) from error
    except sa.exc.DatabaseError as error:
        if "idle-in-transaction" in str(error.orig):
            stood = f"this process stood still in the middle of a transaction, which the database ended after {_IDLE_IN_TRANSACTION}."
            raise Unavailable(stood, where=url) from error
        if "read-only" in str(error.orig):
            raise SystemFault("a unit of work that only reads tried to write.", where=url) from error
        if "file is not a database" not in str(error.orig):
            raise
        raise InvalidInput("this file is not a database.", where=url, hint="Give another path, or move the file away.") from error


def _unfit(error: BaseException | None) -> InvalidInput:
    return InvalidInput(f"a value does not fit into the database: {str(error).strip()}.", hint="Is a number too large?")


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise InvalidInput("this is no database URL.", where=re.sub(r":[^:@/]*@", ":***@", url), hint=_URL_HINT) from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return _sqlite(parsed)
    if backend == "postgresql":
        try:
            return _postgresql(parsed)
        except ModuleNotFoundError as error:
            raise SystemFault("the driver for PostgreSQL is not installed.", hint="Install wichtel[server].") from error
    raise InvalidInput(f"{backend!r} is no database that Wichtel works with.", where=parsed.render_as_string(), hint=_URL_HINT)


_URL_HINT = "Use sqlite:///path/to/file.db or postgresql://user@host/name."


def _postgresql(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(url.set(drivername="postgresql+psycopg"), pool_size=10, max_overflow=20)
    sa.event.listen(engine, "connect", end_idle_transactions)
    sa.event.listen(engine, "connect", _plan_each)

    @sa.event.listens_for(engine, "checkin")
    def _returned(_connection: object, record: sa.pool.ConnectionPoolEntry) -> None:
        record.info["since"] = time.monotonic()

    # Not `pool_pre_ping`: that asks each time, one more question for every one or two that a request has.
    @sa.event.listens_for(engine, "checkout")
    def _taken(connection: Any, record: sa.pool.ConnectionPoolEntry, _proxy: object) -> None:
        if time.monotonic() - record.info.get("since", math.inf) > _FRESH_SECONDS:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                # The others will be of the same server, which was restarted.
                raise sa.exc.InvalidatePoolError from error

    return engine


def end_idle_transactions(connection: sa.engine.interfaces.DBAPIConnection, _record: object) -> None:
    """Prepare a new connection to PostgreSQL: what a frozen process holds becomes free."""
    cursor = connection.cursor()
    cursor.execute(f"SET idle_in_transaction_session_timeout = '{_IDLE_IN_TRANSACTION}'")
    cursor.close()
    # The pool rolls back what is not committed, settings too.
    connection.commit()


def _plan_each(connection: sa.engine.interfaces.DBAPIConnection, _record: object) -> None:
    # One plan for whatever is asked finds what is rare several times slower; to plan a statement takes a tenth of a millisecond.
    cursor = connection.cursor()
    cursor.execute("SET plan_cache_mode = force_custom_plan")
    cursor.close()
    connection.commit()


def _readers(engine: sa.Engine) -> sa.Engine:
    if engine.dialect.name == "sqlite":
        return engine.execution_options(wichtel_read_only=True)
    # Each statement sees what was committed before it, as in a transaction of PostgreSQL's default kind; but nothing has to begin and end.
    readers = engine.execution_options(isolation_level="AUTOCOMMIT")

    @sa.event.listens_for(readers, "before_cursor_execute")
    def _only_reads(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if _WRITES.match(statement):
            raise SystemFault("a unit of work that only reads tried to write.", where=engine.url.render_as_string())

    return readers


def _sqlite(url: sa.URL) -> sa.Engine:
    options: dict[str, Any] = {}
    if url.database in (None, "", ":memory:"):
        options = {"poolclass": StaticPool}
    else:
        folder = Path(str(url.database)).absolute().parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFailed(f"the database's folder cannot be made: {error.strerror}.", where=str(folder)) from error
        options = {"pool_size": 10, "max_overflow": 40}
    engine = sa.create_engine(
        url.set(drivername="sqlite+pysqlite"), connect_args={"check_same_thread": False, "timeout": _BUSY_SECONDS}, **options
    )

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _record: object) -> None:
        # The driver would begin transactions by itself, and later than we want.
        connection.isolation_level = None
        for setting in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {setting}").close()
        if sqlite3.sqlite_version_info < (3, 42):
            # The workflow engine asks for fractions of a second, which older versions do not know.
            connection.create_function("unixepoch", 1, lambda _modifier: time.time())

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        read_only = connection.get_execution_options().get("wichtel_read_only", False)
        if connection.info.get("read_only") is not read_only:
            connection.exec_driver_sql(f"PRAGMA query_only={'ON' if read_only else 'OFF'}")
            connection.info["read_only"] = read_only
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine
