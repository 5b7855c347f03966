"""Rows as JSON, for whoever hands them on: their longest parts are stored as JSON already, and need be neither read nor written again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from wichtel.store import codec
from wichtel.store.types import Json


class Written:
    """Columns that make a value, each named as its field, in the order of the fields.

    What comes out is what `codec.encode` makes of the value. Documents that an older version stored have only the fields that it knew.

    Args:
        columns: Of one table.
    """

    def __init__(self, columns: Sequence[sa.Column[Any]]) -> None:
        self._names = tuple(column.name for column in columns)
        self._documents = frozenset(column.name for column in columns if isinstance(column.type, Json))
        #: To be selected.
        self.columns = tuple(sa.type_coerce(c, sa.Text).label(c.name) if c.name in self._documents else c for c in columns)

    def read(self, row: sa.Row[Any]) -> msgspec.Raw:
        """The value of a row that begins with `columns`."""
        # Others that follow are there to order by.
        return msgspec.Raw(msgspec.json.encode({name: self._part(name, value) for name, value in zip(self._names, row, strict=False)}))

    def _part(self, name: str, value: Any) -> Any:
        if value.__class__ is not str:
            return value
        if name in self._documents:
            return msgspec.Raw(value.encode())
        # Only a text that begins so may be written otherwise than it is.
        return codec.to_plain(value) if value[:1] == "$" else value
