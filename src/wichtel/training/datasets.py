"""Datasets: files of examples made into one Parquet file in time order, kept by its content."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from wichtel.domain import Dataset, InvalidInput, StorageFailed, check_name, did_you_mean

if TYPE_CHECKING:
    import polars as pl

    from wichtel.store import Artifacts

#: Rows of a row group: what a reader holds at once while it encodes.
ROW_GROUP = 65_536

#: Told what is being done, and the share of the whole that is done.
Progress = Callable[[str, float], None]


def ingest(
    files: Sequence[str | Path],
    *,
    name: str,
    time_column: str,
    artifacts: Artifacts,
    owner: str,
    now: datetime,
    on_progress: Progress | None = None,
) -> Dataset:
    """Read `files`, sort them by time and keep them as one Parquet artifact.

    Rows of one time keep the order they came in. The same content gives the same bytes, and so the same artifact. Nothing is registered:
    the caller puts what is returned into the store.

    Args:
        files: Parquet, or CSV with a header (``.csv``, ``.csv.gz``, ``.csv.zip``), all of the same columns.
        name: What the dataset will be called.
        time_column: When each example could first have been seen: a timestamp with a zone, or text in ISO 8601 with an offset.
        artifacts: Where the Parquet file is kept.
        owner: Whose it is.
        now: When it was made; aware, UTC.
        on_progress: Told of progress.

    Raises:
        InvalidInput: no such file, one that cannot be read, files of different columns, no rows; a time column that is missing, is not a
            time, has no zone, or has nulls.
        StorageFailed: the artifact could not be written.
    """
    import polars as pl
    import pyarrow.parquet as pq

    check_name(name, what="dataset")
    if not files:
        raise InvalidInput("no files were given.", where=f"dataset {name!r}")
    say = on_progress or (lambda _what, _share: None)
    paths = [Path(f) for f in files]
    tables: list[pl.DataFrame] = []
    for i, path in enumerate(paths):
        say(f"read {path.name}", 0.6 * i / len(paths))
        table = _read(path)
        if tables and table.columns != tables[0].columns:
            odd = sorted(set(table.columns) ^ set(tables[0].columns))
            raise InvalidInput(
                "its columns differ from those of the first file"
                + (f": {', '.join(odd)} in only one of them." if odd else ", which has them in another order."),
                where=str(path),
                hint=f"The first file is {paths[0]}.",
            )
        tables.append(_with_time(table, time_column, where=str(path)))
    try:
        data = pl.concat(tables, how="vertical_relaxed")
    except pl.exceptions.PolarsError as e:
        raise InvalidInput(f"the files' columns are of different types: {e}.", where=f"dataset {name!r}") from None
    if not data.height:
        raise InvalidInput("there are no rows.", where=f"dataset {name!r}")
    say("sort by time", 0.7)
    data = data.sort(time_column, maintain_order=True)
    # Dictionary columns become text, and the arrow schema is left out, so that the bytes depend on nothing but the content.
    data = data.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))
    start, end = data[time_column][0], data[time_column][-1]
    say("write", 0.8)
    with tempfile.TemporaryDirectory(prefix="wichtel-ingest-") as folder:
        target = Path(folder) / "data.parquet"
        try:
            pq.write_table(data.to_arrow(), target, row_group_size=ROW_GROUP, compression="zstd", store_schema=False)
        except OSError as e:
            raise StorageFailed(f"the dataset could not be written: {e.strerror or e}.", where=f"dataset {name!r}") from e
        schema = pq.read_schema(target)
        digest = artifacts.put(target)
    say("done", 1.0)
    return Dataset(
        name=name,
        digest=digest,
        time_column=time_column,
        columns={field.name: str(field.type) for field in schema},
        rows=data.height,
        start=start,
        end=end,
        owner=owner,
        created=now,
    )


def _read(path: Path) -> pl.DataFrame:
    import polars as pl

    where = str(path)
    if not path.is_file():
        raise InvalidInput("there is no such file.", where=where)
    kind = "".join(path.suffixes[-2:]).lower()
    try:
        if kind.endswith((".parquet", ".pq")):
            return pl.read_parquet(path)
        if kind.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                members = [m for m in archive.namelist() if m.lower().endswith(".csv")]
                if len(members) != 1:
                    raise InvalidInput(f"the archive holds {len(members)} CSV files, not one.", where=where)
                return _csv(archive.read(members[0]))
        if kind.endswith((".csv", ".csv.gz")):
            return _csv(path)
    except pl.exceptions.NoDataError:
        raise InvalidInput("there are no rows.", where=where) from None
    except (pl.exceptions.PolarsError, zipfile.BadZipFile, OSError, EOFError) as e:
        raise InvalidInput(f"it cannot be read: {str(e).splitlines()[0] if str(e) else type(e).__name__}.", where=where) from None
    raise InvalidInput(
        f"files of type {path.suffix or 'unknown'!r} are not read.", where=where, hint="Parquet, CSV, CSV in .gz or .zip are."
    )


def _csv(source: Path | bytes) -> pl.DataFrame:
    import polars as pl

    # Types are found from all rows: a column whose first thousand rows are empty is not thereby text.
    return pl.read_csv(source, infer_schema_length=None, null_values=["", "NA"])


def _with_time(table: pl.DataFrame, column: str, *, where: str) -> pl.DataFrame:
    """The table with its time column as microseconds UTC."""
    import polars as pl

    if column not in table.columns:
        raise InvalidInput(f"there is no column {column!r}.", where=where, hint=did_you_mean(column, table.columns))
    dtype = table.schema[column]
    place = f"{where}, column {column!r}"
    if table[column].null_count():
        raise InvalidInput(f"{table[column].null_count():,} rows have no time.", where=place, hint="Every example needs one.")
    if not table.height:
        return table.with_columns(pl.col(column).cast(pl.Datetime("us", "UTC"), strict=False))
    if dtype == pl.String:
        parsed = table[column].str.replace(" ", "T", literal=True).str.to_datetime("%+", time_unit="us", strict=False)
        if parsed.null_count():
            bad = table[column].filter(parsed.is_null())[0]
            raise InvalidInput(f"{bad!r} is not a time with a zone.", where=place, hint="Write times such as 2013-01-01T10:00:00Z.")
        return table.with_columns(parsed.dt.convert_time_zone("UTC").alias(column))
    if not isinstance(dtype, pl.Datetime):
        raise InvalidInput(f"it is of type {dtype}, not a time.", where=place, hint="A timestamp with a zone, or ISO 8601 text, is needed.")
    if dtype.time_zone is None:
        raise InvalidInput("its times have no zone.", where=place, hint="Say which, for instance by converting to UTC.")
    return table.with_columns(pl.col(column).dt.convert_time_zone("UTC").dt.cast_time_unit("us"))
