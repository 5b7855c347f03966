"""The exporter (heinzelmaennchen, III-C 6): writes every finished experiment to Parquet files, each exactly once.

First, in one transaction, experiments are given the number of an export; that decides what is in it. Then its files are written under names
that follow from the number and the day of finish, each renamed into place when it is whole; then they are noted. Killed anywhere, the next
one writes the same rows to the same files again.
"""

from __future__ import annotations

from typing import Any

from wichtel.experiments.records import file_name, frame_of, parquet_of, records_of
from wichtel.store import Database, Export, Files

#: Rows of one export: what is held in memory at once.
_ROWS = 20_000


class Exporter:
    """Writes what has finished since.

    Args:
        db: Where experiments live.
        files: Where it writes.
        rows: Most rows of an export.
    """

    def __init__(self, db: Database, files: Files, *, rows: int = _ROWS) -> None:
        self._db = db
        self._files = files
        self._rows = rows

    def run(self) -> dict[str, Any]:
        """Export all that is not; return how much that was."""
        with self._db.read() as tx:
            exports = [export for export in tx.exports.list() if export.written is None]
        written: list[Export] = []
        while True:
            for export in exports:
                self._write(export.number)
                written.append(export)
            with self._db.transaction() as tx:
                claimed = tx.exports.claim(self._rows)
            if claimed is None:
                return {"exports": [export.number for export in written], "rows": sum(export.rows for export in written)}
            exports = [claimed]

    def preview(self) -> dict[str, Any]:
        """How much it would export."""
        with self._db.read() as tx:
            waiting = sum(export.rows for export in tx.exports.list() if export.written is None)
            return {"rows": waiting + tx.exports.waiting()}

    def _write(self, number: int) -> None:
        import polars as pl

        with self._db.read() as tx:
            frame = pl.concat([frame_of([]), *(frame_of(records_of(tx, page)) for page in tx.exports.experiments(number))])
        files: dict[str, int] = {}
        for (day,), part in frame.group_by(pl.col("finished").dt.date(), maintain_order=True):
            content = parquet_of(part)
            self._files.put(file_name(number, str(day)), content)
            files[str(day)] = len(content)
        with self._db.transaction() as tx:
            tx.exports.finish(number, files)
