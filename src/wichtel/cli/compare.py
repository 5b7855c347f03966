"""`wichtel compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from wichtel.cli.command import Here, command


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "compare")(compare)


def compare(
    here: Here,
    experiments: Annotated[list[str] | None, typer.Argument(help="Their ids; or say --query.")] = None,
    query: Annotated[str, typer.Option("--query", help="What they have in common: 'model:ads/ctr protocol:SetHyperparameters'.")] = "",
    reference: Annotated[str, typer.Option("--reference", help="The one that all are compared with, beside their baselines.")] = "",
    objectives: Annotated[
        str, typer.Option("--objectives", help="Metrics that say which are efficient, with commas; by default those with constraints.")
    ] = "",
    csv: Annotated[bool, typer.Option("--csv", help="All metrics as comma-separated values on stdout.")] = False,
    page: Annotated[
        Path | None, typer.Option("--html", help="Write a trade-off plot with the table to this file; needs wichtel[plot].")
    ] = None,
) -> None:
    """Experiments of one version and protocol side by side: which candidate is better in what, and which are Pareto-efficient."""
    names = [name.strip() for name in objectives.split(",") if name.strip()]
    with here.client() as client:
        found = client.experiments.compare(experiments or (), query=query, reference=reference, objectives=names)
    c = found.comparison
    if page is not None:
        here.out.say(f"Written to {found.save_html(page)}.")
    if csv and not here.json:
        sys.stdout.write(found.to_csv())
        return
    columns, rows = found.table()
    here.out.table(c, columns, rows)
    if here.json:
        return
    here.out.say("All have " + ", ".join(f"{name}={value}" for name, value in c.common.items()) + ".")
    for warning in c.warnings:
        here.out.say(f"Warning: {warning}")
