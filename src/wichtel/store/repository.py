"""What the repositories share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from wichtel.domain import InvalidInput, NotFound, did_you_mean
from wichtel.store.prepared import prepared

if TYPE_CHECKING:
    from datetime import datetime

    from wichtel.store.transaction import Transaction

#: Most rows that one call returns.
MOST = 1000
#: Keys in one query.
_MOST_KEYS = 500
#: Of each side of a name that there is not: those that may have been meant.
_NEIGHBOURS = 100


class Repository:
    """One noun's rows, in the transaction `tx`."""

    def __init__(self, tx: Transaction) -> None:
        self.tx = tx
        self.connection = tx.connection

    @property
    def now(self) -> datetime:
        """The time of the transaction."""
        return self.tx.now

    def insert(self, table: sa.Table, rows: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> int:
        """Insert those of `rows` whose key is not taken; return how many were.

        On PostgreSQL this waits for a concurrent transaction that is inserting the same key.
        """
        return self.execute_many(_insert_new(self.connection.dialect.name, table), [rows] if isinstance(rows, Mapping) else rows)

    def upsert(self, table: sa.Table, rows: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, keep: Iterable[str] = ()) -> None:
        """Insert `rows`, or replace those that are there, but for their columns `keep`."""
        self.execute_many(
            _insert_or_replace(self.connection.dialect.name, table, tuple(keep)), [rows] if isinstance(rows, Mapping) else rows
        )

    def execute_many(self, statement: Any, rows: Sequence[Mapping[str, Any]]) -> int:
        """Execute a statement, always the same object, with each of `rows`, which have the same keys; return how many rows it touched."""
        if not rows:
            return 0
        return prepared(statement, self.connection.dialect, tuple(rows[0])).execute(self.connection, rows)

    def not_found(self, what: str, name: str | int, column: sa.Column[Any]) -> NotFound:
        """The error for a `name` that is not in `column`, with near ones of those that stand beside where it would."""
        before = sa.select(column).where(column < name).order_by(column.desc()).limit(_NEIGHBOURS)
        after = sa.select(column).where(column > name).order_by(column).limit(_NEIGHBOURS)
        known = [*self.connection.execute(before).scalars(), *self.connection.execute(after).scalars()]
        return NotFound(f"there is no {what} {str(name)!r}.", hint=did_you_mean(str(name), map(str, known)))


def _insert(dialect: str, table: sa.Table) -> Any:
    # Only this clause is spelt differently, not what it does.
    return (sqlite if dialect == "sqlite" else postgresql).insert(table)


@cache
def _insert_new(dialect: str, table: sa.Table) -> Any:
    # Made once for each table: making it takes as long as executing it.
    # Inline: nobody asks for the keys that the database counts up.
    return _insert(dialect, table).inline().on_conflict_do_nothing()


@cache
def _insert_or_replace(dialect: str, table: sa.Table, keep: tuple[str, ...]) -> Any:
    statement = _insert(dialect, table).inline()
    keys = {column.name for column in table.primary_key}
    changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys | set(keep)}
    return statement.on_conflict_do_update(index_elements=sorted(keys), set_=changed)


def begins_with(column: sa.Column[Any], prefix: str) -> sa.ColumnElement[bool]:
    """Whether `column`, a `Key`, begins with `prefix`.

    A range, not LIKE: an index serves it on both databases, and nothing is a wildcard.
    """
    if not prefix:
        return sa.true()
    return sa.and_(column >= prefix, column < prefix + "\U0010ffff")


def parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """`keys` in portions that one query takes."""
    for begin in range(0, len(keys), _MOST_KEYS):
        yield keys[begin : begin + _MOST_KEYS]


def check_limit(limit: int) -> int:
    """Return `limit`.

    Raises:
        InvalidInput: it is not between 1 and `MOST`.
    """
    if not 1 <= limit <= MOST:
        raise InvalidInput(f"{limit} is not between 1 and {MOST}.", where="limit", hint="Ask for the next page instead.")
    return limit
