from __future__ import annotations

import gzip
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from wichtel.domain import Dataset, InvalidInput
from wichtel.store import Artifacts
from wichtel.training import ingest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
START = datetime(2020, 1, 1, tzinfo=UTC)


def table(n: int = 10) -> pl.DataFrame:
    # Descending, so that sorting has something to do; two rows share each time.
    times = [START + timedelta(hours=(n - i) // 2) for i in range(n)]
    return pl.DataFrame({"t": times, "x": list(range(n)), "y": [i % 2 for i in range(n)]})


def take(files: list[Path], tmp_path: Path, time_column: str = "t") -> Dataset:
    return ingest(files, name="d", time_column=time_column, artifacts=Artifacts(tmp_path / "artifacts"), owner="me", now=NOW)


def rows(dataset: Dataset, tmp_path: Path) -> pl.DataFrame:
    target = tmp_path / "out.parquet"
    Artifacts(tmp_path / "artifacts").fetch(dataset.digest, target)
    return pl.read_parquet(target)


def test_files_become_one_parquet_in_time_order(tmp_path: Path) -> None:
    table().head(6).write_parquet(tmp_path / "a.parquet")
    table().tail(4).write_parquet(tmp_path / "b.parquet")
    dataset = take([tmp_path / "a.parquet", tmp_path / "b.parquet"], tmp_path)
    found = rows(dataset, tmp_path)
    assert found["t"].is_sorted()
    assert dataset.rows == found.height == 10
    assert (dataset.start, dataset.end) == (found["t"][0], found["t"][-1])
    assert dataset.columns == {"t": "timestamp[us, tz=UTC]", "x": "int64", "y": "int64"}
    # Equal times keep the order of the files.
    assert found["x"].to_list() == table().sort("t", maintain_order=True)["x"].to_list()


def test_the_same_content_is_the_same_artifact(tmp_path: Path) -> None:
    text = table().with_columns(pl.col("t").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv()
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    with zipfile.ZipFile(tmp_path / "a.csv.zip", "w") as archive:
        archive.writestr("a.csv", text)
    table().write_parquet(tmp_path / "a.parquet")
    digests = {take([tmp_path / name], tmp_path).digest for name in ("a.csv", "a.csv.gz", "a.csv.zip", "a.parquet")}
    assert len(digests) == 1


def test_offsets_are_turned_into_utc(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,x\n2020-01-01T00:00:00-05:00,1\n2020-01-01 04:00:00+00:00,2\n")
    dataset = take([tmp_path / "a.csv"], tmp_path)
    assert dataset.start == datetime(2020, 1, 1, 4, tzinfo=UTC)
    assert rows(dataset, tmp_path)["x"].to_list() == [2, 1]


def bad(name: str, tmp_path: Path) -> Path:
    path = tmp_path / f"{name}.parquet"
    match name:
        case "naive":
            table().with_columns(pl.col("t").dt.replace_time_zone(None)).write_parquet(path)
        case "number":
            table().with_columns(pl.col("x").alias("t")).write_parquet(path)
        case "nulls":
            table().with_columns(pl.when(pl.col("x") > 3).then("t").alias("t")).write_parquet(path)
        case "empty":
            table(0).with_columns(pl.col("t").cast(pl.Datetime("us", "UTC"))).write_parquet(path)
        case "garbage":
            path.write_bytes(b"this is no parquet")
        case "missing":
            table().rename({"t": "time"}).write_parquet(path)
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("naive", "no zone"),
        ("number", "not a time"),
        ("nulls", "4 rows have no time"),
        ("empty", "no rows"),
        ("garbage", "cannot be read"),
        ("missing", "no column 't'"),
        ("absent", "no such file"),
    ],
)
def test_what_is_no_dataset_is_refused(name: str, message: str, tmp_path: Path) -> None:
    path = bad(name, tmp_path)
    with pytest.raises(InvalidInput, match=message):
        take([path], tmp_path)
    assert not (tmp_path / "artifacts").exists()


def test_text_that_is_no_time_is_shown(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,x\n2020-01-01T00:00:00Z,1\nyesterday,2\n")
    with pytest.raises(InvalidInput, match="'yesterday' is not a time"):
        take([tmp_path / "a.csv"], tmp_path)


def test_other_columns_and_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    table().write_parquet(tmp_path / "a.parquet")
    table().drop("y").write_parquet(tmp_path / "b.parquet")
    (tmp_path / "c.xlsx").write_text("x")
    with pytest.raises(InvalidInput, match=r"columns differ.*: y in only one"):
        take([tmp_path / "a.parquet", tmp_path / "b.parquet"], tmp_path)
    with pytest.raises(InvalidInput, match="not read"):
        take([tmp_path / "c.xlsx"], tmp_path)
    with pytest.raises(InvalidInput, match="no files"):
        take([], tmp_path)


def test_near_names_are_offered(tmp_path: Path) -> None:
    table().rename({"t": "time_hour"}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(InvalidInput, match="Did you mean 'time_hour'"):
        take([tmp_path / "a.parquet"], tmp_path, time_column="timehour")
