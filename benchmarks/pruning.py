"""How long a pruner takes to decide, with many long learning curves known; beside Optuna's pruners, in memory.

Run as ``python benchmarks/pruning.py [--quick] [--trials N] [--decisions N]``. All but a hundred trials have ended with 100 measurements
each. Of the last hundred, measurements come in turns, in random order, and each is followed by a question; what is timed
is to note the measurement and to decide. A question at a step that nobody asked about before, as after a restart, costs a pass
over all trials, once; the slowest of these stands under "first".
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from random import Random

from machine import machine

STEPS = 100
RUNNING = 100


def loss(random: Random, quality: float, step: int) -> float:
    """A measurement of a trial."""
    return quality + (1 - quality) / step + 0.02 * random.random()


def last_trials(random: Random, first: int, decisions: int) -> Iterator[tuple[int, int]]:
    """Trial and step of what is measured while somebody watches the clock."""
    steps = {first + i: 0 for i in range(RUNNING)}
    for _ in range(min(decisions, RUNNING * STEPS)):
        trial = random.choice(list(steps))
        steps[trial] += 1
        yield trial, steps[trial]
        if steps[trial] == STEPS:
            del steps[trial]


def ours(name: str, trials: int, decisions: int, objectives: int) -> tuple[list[float], float]:
    """Seconds of each decision, and of the slowest first question at a step."""
    from wichtel.domain import Algorithm, Objective
    from wichtel.tuning import Curves, make_pruner

    random = Random(0)
    curves = Curves(tuple(Objective(metric=f"m{i}", better="smaller") for i in range(objectives)))
    pruner = make_pruner(Algorithm(name=name))
    qualities = [[random.random() for _ in range(objectives)] for _ in range(trials + 1)]

    def add(trial: int, step: int) -> None:
        curves.add(trial, step, tuple(loss(random, q, step) for q in qualities[trial]))

    for trial in range(trials - RUNNING):
        for step in range(1, STEPS + 1):
            add(trial, step)
        curves.end(trial)
    firsts = []
    for step in range(1, STEPS + 1):
        add(trials, step)
        began = time.perf_counter()
        pruner.decide(curves, trials)
        firsts.append(time.perf_counter() - began)
    curves.end(trials)
    seconds: list[float] = []
    for trial, step in last_trials(random, trials - RUNNING, decisions):
        began = time.perf_counter()
        add(trial, step)
        pruner.decide(curves, trial)
        seconds.append(time.perf_counter() - began)
    return seconds, max(firsts)


def optunas(name: str, trials: int, decisions: int) -> list[float]:
    """Seconds of each decision of one of Optuna's pruners."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    random = Random(0)
    pruners = {
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=4),
        "asha": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=4),
        "hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=1, max_resource=81, reduction_factor=3),
        "percentile": lambda: optuna.pruners.PercentilePruner(25.0, n_startup_trials=4),
    }
    study = optuna.create_study(pruner=pruners[name](), sampler=optuna.samplers.RandomSampler(seed=0))
    qualities = [random.random() for _ in range(trials)]
    ended = []
    for quality in qualities[: trials - RUNNING]:
        values = {step: loss(random, quality, step) for step in range(1, STEPS + 1)}
        ended.append(optuna.trial.create_trial(value=values[STEPS], intermediate_values=values))
    study.add_trials(ended)
    running = {trials - RUNNING + i: study.ask() for i in range(RUNNING)}
    seconds = []
    for trial, step in last_trials(random, trials - RUNNING, decisions):
        began = time.perf_counter()
        running[trial].report(loss(random, qualities[trial], step), step)
        running[trial].should_prune()
        seconds.append(time.perf_counter() - began)
    return seconds


def quantiles(seconds: list[float]) -> str:
    """The median and the 99th percentile, in milliseconds."""
    ordered = sorted(seconds)
    return f"{1e3 * ordered[len(ordered) // 2]:8.3f} {1e3 * ordered[int(0.99 * len(ordered))]:8.3f}"


def main() -> None:
    """Measure all and print."""
    from wichtel.tuning import pruner_names

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--decisions", type=int, default=5_000)
    parser.add_argument("--peer-decisions", type=int, default=500, help="of each of Optuna's pruners, which take longer")
    parser.add_argument("--quick", action="store_true", help="few trials, to see that it works")
    options = parser.parse_args()
    if options.quick:
        options.trials, options.decisions, options.peer_decisions = 500, 500, 100
    print(machine())
    print(f"{options.trials} trials of {STEPS} measurements; milliseconds a decision\n")
    print(f"{'pruner':28} {'p50':>8} {'p99':>8} {'first':>8}")
    for name in pruner_names():
        for objectives in (1, 2):
            seconds, first = ours(name, options.trials, options.decisions, objectives)
            label = f"{name}, 2 objectives" if objectives == 2 else name
            print(f"{label:28} {quantiles(seconds)} {1e3 * first:8.3f}", flush=True)
        if name in ("median", "percentile", "asha", "hyperband"):
            print(f"{f'  Optuna {name}':28} {quantiles(optunas(name, options.trials, options.peer_decisions))}", flush=True)


if __name__ == "__main__":
    main()
