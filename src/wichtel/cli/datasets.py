"""`wichtel datasets`."""

from __future__ import annotations

from typing import Annotated

import typer

from wichtel.cli.command import Here, command, group

app = group("Registered examples, in time order.")


@command(app, "add")
def add(
    here: Here,
    name: Annotated[str, typer.Argument(help="Such as flights.")],
    files: Annotated[list[str], typer.Argument(help="Parquet or CSV files that the service can read.")],
    time_column: Annotated[str, typer.Option(help="The column with each example's time.")],
) -> None:
    """Read files, put the examples in time order, keep them."""
    with here.client() as client:
        here.out.say(f"Reading {len(files)} file{'s' if len(files) > 1 else ''} …")
        dataset = client.datasets.add(name, files, time_column)
    here.out.fields(
        dataset,
        [
            ("dataset", dataset.name),
            ("rows", f"{dataset.rows:,}"),
            ("from", dataset.start),
            ("to", dataset.end),
            ("columns", len(dataset.columns)),
        ],
    )


@command(app, "list")
def list_(here: Here) -> None:
    """All datasets."""
    with here.client() as client:
        found = client.datasets.list()
    here.out.table(found, ["name", "rows", "from", "to", "owner"], ((d.name, f"{d.rows:,}", d.start, d.end, d.owner) for d in found))


@command(app, "show")
def show(here: Here, name: str) -> None:
    """One dataset with its columns."""
    with here.client() as client:
        d = client.datasets.get(name)
    fields = [("dataset", d.name), ("rows", f"{d.rows:,}"), ("from", d.start), ("to", d.end), ("time column", d.time_column)]
    columns = "\n".join(f"{column}: {kind}" for column, kind in d.columns.items())
    here.out.fields(d, [*fields, ("columns", columns), ("owner", d.owner), ("digest", d.digest), ("created", d.created)])
