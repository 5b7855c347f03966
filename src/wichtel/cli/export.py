"""`wichtel export` and `wichtel exports`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from wichtel.cli.command import Here, command, group

app = group("What the exporter wrote: finished experiments, by day, for analysis.")

Since = Annotated[datetime | None, typer.Option(help="Only what finished then or later; UTC.")]
Before = Annotated[datetime | None, typer.Option(help="Only what finished earlier; UTC.")]
Team = Annotated[str | None, typer.Option(help="Only experiments of this team.")]


def add_to(program: typer.Typer) -> None:
    """Add `wichtel export`."""
    command(program, "export")(export)


def export(
    here: Here,
    folder: Annotated[Path, typer.Argument(help="Where the files are written.")],
    since: Since = None,
    before: Before = None,
    team: Team = None,
    format: Annotated[str, typer.Option(help="parquet or csv.")] = "parquet",  # noqa: A002
    usage: Annotated[bool, typer.Option("--usage", help="Also the usage analysis of it, as JSON.")] = False,
) -> None:
    """Write every finished experiment to a file."""
    from wichtel.cli.usage import utc
    from wichtel.domain import InvalidInput, did_you_mean
    from wichtel.store import codec

    if format not in ("parquet", "csv"):
        raise InvalidInput(f"{format!r} is neither parquet nor csv.", where="--format", hint=did_you_mean(format, ["parquet", "csv"]))
    written = []
    with here.client() as client:
        content = client.exports.records(since=utc(since), before=utc(before), team=team, format="csv" if format == "csv" else "parquet")
        written.append(_write(folder / f"experiments.{format}", content))
        if usage:
            report = client.usage.report(utc(since), utc(before), team)
            written.append(_write(folder / "usage.json", codec.encode(report)))
    here.out.table([str(path) for path in written], ["file"], ([path] for path in written))


@command(app, "list")
def list_(here: Here) -> None:
    """The exports, and the days that each has a file of."""
    with here.client() as client:
        found = client.exports.list()
    here.out.table(
        found,
        ["export", "written", "experiments", "days", "bytes"],
        ((e.number, e.written, e.rows, sorted(e.files), sum(e.files.values())) for e in found),
    )


@command(app, "get")
def get(
    here: Here,
    number: Annotated[int, typer.Argument(help="Of the export.")],
    day: Annotated[str, typer.Argument(help="Such as 2026-11-22.")],
    to: Annotated[Path | None, typer.Option(help="The file to write; export-NUMBER-DAY.parquet here by default.")] = None,
) -> None:
    """Fetch one file of an export, Parquet."""
    with here.client() as client:
        content = client.exports.file(number, day)
    path = _write(to or Path(f"export-{number:06d}-{day}.parquet"), content)
    here.out.fields({"file": str(path)}, [("file", path)])


def _write(path: Path, content: bytes) -> Path:
    from wichtel.domain import InvalidInput

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise InvalidInput(f"it cannot be written: {error.strerror}.", where=str(path)) from None
    return path
