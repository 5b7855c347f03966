"""`wichtel tune`: `wt.tune` on a function of yours, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wichtel.cli.command import Here, command


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "tune")(tune)


def tune(
    here: Here,
    function: Annotated[str, typer.Argument(metavar="MODULE:FUNCTION", help="Called with a configuration; looked for here, too.")],
    space: Annotated[
        Path, typer.Option(help="TOML or JSON: a table for each parameter, such as lr = {kind = 'float', low = 1e-5, high = 0.1}.")
    ],
    maximize: Annotated[str | None, typer.Option(help="The metric to make large.")] = None,
    minimize: Annotated[str | None, typer.Option(help="The metric to make small.")] = None,
    trials: Annotated[int, typer.Option(min=1, help="Trials.")] = 100,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.")] = None,
    searcher: Annotated[str, typer.Option(help="tpe, random, grid, cmaes.")] = "tpe",
    pruner: Annotated[str | None, typer.Option(help="median, asha.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same trials.")] = 0,
    name: Annotated[str | None, typer.Option(help="Its name; calling again with it goes on where it ended.")] = None,
) -> None:
    """Search a space for the configuration that is best for a function."""
    raise NotImplementedError
