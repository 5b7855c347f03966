"""How long it takes to get the next configuration from TPE, when so many trials are known; and whether workers idle for it.

Run as ``python benchmarks/ask.py [--quick]``. Ten float parameters. One round is what a study does for each trial: tell the last result,
ask for a configuration, and make the trial's row durable in SQLite, waiting for it. Optuna does the same with its in-memory and its SQLite
storage; its earlier trials are put in at once. Beside the times on the clock stand those of the processor, which do not count what else the
machine is doing. Then a real study: 16 workers, trials that sleep for 50 ms; the share of their time from the first start to the last that
workers are busy.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from machine import machine

COLUMNS = 10
WORKERS = 16
SECONDS = 0.05


def loss(config: Mapping[str, Any]) -> float:
    """Smooth, with the optimum inside."""
    return float(sum((value - 0.3) ** 2 for value in config.values()))


def rested(**parameters: float) -> float:
    """A trial of `SECONDS`."""
    time.sleep(SECONDS)
    return loss(parameters)


def timed(rounds: int, once: Callable[[], None]) -> str:
    """Do it `rounds` times; the median and the 99th percentile in ms, and the processor's median."""
    times, own = [], []
    for _ in range(rounds):
        began, worked = time.perf_counter(), time.process_time()
        once()
        times.append((time.perf_counter() - began) * 1e3)
        own.append((time.process_time() - worked) * 1e3)
    times.sort()
    own.sort()
    return f"p50 {times[rounds // 2]:8.2f} ms   p99 {times[int(rounds * 0.99)]:8.2f} ms   processor p50 {own[rounds // 2]:8.2f} ms"


def ours(known: int, rounds: int, folder: Path) -> str:
    """TPE with `known` trials, and the store as the study loop uses it."""
    from wichtel.domain import Algorithm, Expectation, Float, Objective, RunState, Space, StudySpec, Trial
    from wichtel.store import Database, GroupCommit
    from wichtel.tuning import Problem, Result, make_searcher

    space = Space({f"x{i}": Float(0, 1) for i in range(COLUMNS)})
    spec = StudySpec(
        id="ask",
        name="ask",
        space=space,
        objectives=(Objective(metric="loss", better=Expectation.SMALLER),),
        entry="m:f",
        trials=known + rounds,
    )
    searcher = make_searcher(Algorithm(name="tpe"), Problem.of(spec))
    db = Database.open(f"sqlite:///{folder / f'ours-{known}.db'}", upgrade=True)
    with db.transaction() as tx:
        tx.studies.add(spec)
    commit = GroupCommit(db)
    random, number = Random(0), known
    for n in range(known):
        config = space.sample(random)
        begun = Result(number=n, config=config, state=RunState.RUNNING)
        searcher.update([begun, Result(number=n, config=config, state=RunState.SUCCEEDED, losses=(loss(config),))])

    def once() -> None:
        nonlocal number
        (suggestion,) = searcher.sample(1)
        value, now = loss(suggestion.config), datetime.now(UTC)
        trial = Trial(
            study="ask",
            number=number,
            config=suggestion.config,
            state=RunState.SUCCEEDED,
            metrics={"loss": value},
            created=now,
            started=now,
            ended=now,
        )
        commit.submit(lambda tx: tx.trials.put_many([trial])).result()
        searcher.update([Result(number=number, config=suggestion.config, state=RunState.SUCCEEDED, losses=(value,))])
        number += 1

    once()
    result = timed(rounds, once)
    commit.close()
    db.close()
    return result


def optunas(known: int, rounds: int, storage: str | None) -> str:
    """Optuna's default sampler with `known` trials."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.TPESampler(seed=0))
    random = Random(0)
    distributions = {f"x{i}": optuna.distributions.FloatDistribution(0, 1) for i in range(COLUMNS)}
    earlier = [{name: random.random() for name in distributions} for _ in range(known)]
    study.add_trials([optuna.trial.create_trial(params=p, distributions=dict(distributions), value=loss(p)) for p in earlier])

    def once() -> None:
        trial = study.ask()
        config = {name: trial.suggest_float(name, 0, 1) for name in distributions}
        study.tell(trial, loss(config))

    once()
    return timed(rounds, once)


def busy(trials: int, folder: Path) -> str:
    """Of a real study with TPE."""
    import wichtel as wt

    here = Path.cwd()
    os.chdir(folder)
    try:
        space = {f"x{i}": wt.Float(0, 1) for i in range(COLUMNS)}
        study = wt.tune(rested, space, minimize="loss", trials=trials, workers=WORKERS, searcher="tpe", progress=False)
    finally:
        os.chdir(here)
    spans = [(t.started.timestamp(), t.ended.timestamp()) for t in study.trials if t.started is not None and t.ended is not None]
    # Between the moment at which all workers have their first trial and the last start: processes that begin or end do not count.
    first, last = sorted(start for start, _ in spans)[WORKERS - 1], max(start for start, _ in spans)
    worked = sum(max(0.0, min(end, last) - max(start, first)) for start, end in spans)
    share = worked / (WORKERS * (last - first))
    slept = sum(SECONDS for start, _ in spans if first <= start < last) / (WORKERS * (last - first))
    return f"{share:.1%} busy, {slept:.1%} asleep in a trial"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and Optuna on SQLite with 100 trials only")
    options = parser.parse_args()
    rounds = 50 if options.quick else 300
    print(f"machine: {machine()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for known in (100, 1_000, 10_000):
            print(f"{known:6} trials, wichtel, SQLite:    {ours(known, rounds, folder)}")
        for known in (100, 1_000):
            print(f"{known:6} trials, optuna, in memory:  {optunas(known, rounds, None)}")
        for known in (100,) if options.quick else (100, 1_000):
            storage = f"sqlite:///{folder / f'optuna-{known}.db'}"
            print(f"{known:6} trials, optuna, SQLite:     {optunas(known, min(rounds, 50), storage)}")
        trials = 400 if options.quick else 3_000
        print(f"{WORKERS} workers, {trials} trials of {SECONDS * 1e3:.0f} ms: {busy(trials, folder)}")


if __name__ == "__main__":
    main()
