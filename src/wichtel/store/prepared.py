"""Statements that are executed hundreds of times a second, with many rows each: made once, and handed to the driver as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa


class Prepared:
    """A statement with the names of its parameters. What SQLAlchemy does for each row anew on the way to the driver is done once.

    Args:
        names: The parameters that every row gives.
    """

    def __init__(self, statement: Any, dialect: sa.Dialect, names: tuple[str, ...]) -> None:
        # An insert fills the columns that the rows name; an update says itself which ones it changes.
        compiled = statement.compile(dialect=dialect, column_keys=names if statement.is_insert else None)
        self._sql = str(compiled)
        given = set(names)
        fixed = {name: value for name, value in compiled.params.items() if name not in given}
        writers = {bind.key: _writer(bind.type, dialect) for bind in compiled.binds.values()}
        #: Of each parameter its name and, if it is written otherwise than it is, how.
        self._slots = [(name, writers.get(name)) for name in (compiled.positiontup or compiled.params)]
        self._fixed = {name: _written(writers.get(name), value) for name, value in fixed.items()}
        self._positional = bool(compiled.positiontup)

    def execute(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Execute it with each row; return how many rows of the table it touched."""
        fixed = self._fixed
        values: list[Any]
        if self._positional:
            values = [
                tuple([fixed[n] if n in fixed else row[n] if w is None or row[n] is None else w(row[n]) for n, w in self._slots])
                for row in rows
            ]
        else:
            values = [fixed | {name: _written(write, row[name]) for name, write in self._slots if name not in fixed} for row in rows]
        return connection.exec_driver_sql(self._sql, values, execution_options={"preserve_rowcount": True}).rowcount


def _writer(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> Callable[[Any], Any] | None:
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _written(write: Callable[[Any], Any] | None, value: Any) -> Any:
    return value if write is None or value is None else write(value)


@lru_cache(maxsize=512)
def prepared(statement: Any, dialect: sa.Dialect, names: tuple[str, ...]) -> Prepared:
    """`Prepared`, made once for each statement, dialect (of which each database has its own) and set of parameters."""
    return Prepared(statement, dialect, names)
