"""What a search finds as files, written while they are sent: CSV and Parquet, a thousand rows at a time."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wichtel.domain import Experiment
from wichtel.server.pages.columns import Column, as_csv

if TYPE_CHECKING:
    from wichtel.app import App

#: Rows of a file.
MOST_ROWS = 100_000
#: Rows that are in memory at once.
_AT_ONCE = 1_000
_NUMBERS = frozenset({"number", "signed", "percent", "duration", "gain"})
_WHOLE = frozenset({"priority", "models_trained"})


def rows_of(app: App, query: str, sort: str) -> Iterator[Sequence[Experiment]]:
    """What `query` finds, in pages; the first is there at once, so that what is wrong with the question is told before anything is sent."""
    first = app.experiments.search(query, sort=sort, limit=_AT_ONCE)

    def pages() -> Iterator[Sequence[Experiment]]:
        page, rows = first, 0
        while True:
            yield page.items
            rows += len(page.items)
            if page.cursor is None or rows >= MOST_ROWS:
                return
            page = app.experiments.search(query, sort=sort, limit=_AT_ONCE, cursor=page.cursor)

    return pages()


def csv_parts(columns: Sequence[Column], pages: Iterable[Sequence[Experiment]]) -> Iterator[bytes]:
    """The table for spreadsheets."""
    for number, page in enumerate(pages):
        text = as_csv(columns, page)
        yield (text if number == 0 else text.partition("\r\n")[2]).encode()


class _Outlet(io.RawIOBase):
    """What is written to it can be taken away; it knows where it would be in a file."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._at += len(part)
        return len(part)

    def tell(self) -> int:
        return self._at

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def parquet_parts(columns: Sequence[Column], pages: Iterable[Sequence[Experiment]]) -> Iterator[bytes]:
    """The table for programs: numbers are numbers, times are times."""
    import pyarrow as pa
    from pyarrow import parquet

    def kind(column: Column) -> Any:
        if column.kind == "time":
            return pa.timestamp("us", tz="UTC")
        return pa.int64() if column.name in _WHOLE else pa.float64() if column.kind in _NUMBERS else pa.string()

    named = columns if any(column.name == "id" for column in columns) else [_ID, *columns]
    schema = pa.schema([(column.name, kind(column)) for column in named])
    outlet = _Outlet()
    with parquet.ParquetWriter(outlet, schema) as writer:
        for page in pages:
            values = [pa.array([_value(column, e) for e in page], type=kind(column)) for column in named]
            writer.write_table(pa.Table.from_arrays(values, schema=schema))
            yield outlet.take()
    yield outlet.take()


_ID = Column("id", "Experiment", lambda e: e.id)


def _value(column: Column, experiment: Experiment) -> Any:
    value = column.value(experiment)
    if value is None or isinstance(value, float | int):
        return value
    return value.astimezone(UTC) if isinstance(value, datetime) else str(value)
