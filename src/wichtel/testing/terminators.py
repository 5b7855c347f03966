"""What every terminator must do. Copy `tests/tuning/test_terminators.py` to face your own with it.

``check_all(factory)`` runs everything; each check stands for itself, too. `factory` is called with a `Problem`; one that cannot do with
several objectives or with constraints says so by raising `InvalidInput`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from wichtel.domain import Algorithm, Config, Expectation, Float, InvalidInput, MetricBound, Objective, RunState, Space, StudySpec
from wichtel.tuning.ports import Problem, Result, Terminator
from wichtel.tuning.registry import make_terminator, terminator_names

Factory = Callable[[Problem], Terminator]

SPACE = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})


def registered() -> dict[str, Factory]:
    """Each installed terminator's name and factory."""

    def factory(name: str) -> Factory:
        return lambda problem: make_terminator(Algorithm(name=name, options=_options(name, problem)), problem)

    return {name: factory(name) for name in terminator_names()}


def problem(objectives: int = 1, constraints: int = 0, better: Expectation = Expectation.SMALLER) -> Problem:
    """A problem with the objectives ``score0``, ``score1`` and so on."""
    return Problem.of(
        StudySpec(
            id="s",
            name="s",
            space=SPACE,
            objectives=tuple(Objective(metric=f"score{i}", better=better) for i in range(objectives)),
            constraints=tuple(MetricBound(metric=f"bound{i}", high=0.0) for i in range(constraints)),
            entry="m:f",
        )
    )


def results(losses: Iterable[float | tuple[float, ...] | None], *, seed: int = 0) -> list[Result]:
    """Trials that ended with these losses, one after the other; None is one that failed."""
    random = Random(seed)
    made = []
    for number, given in enumerate(losses):
        config: Config = {"x": random.random(), "y": random.random()}
        if given is None:
            made.append(Result(number=number, config=config, state=RunState.FAILED))
        else:
            whole = given if isinstance(given, tuple) else (given,)
            made.append(Result(number=number, config=config, state=RunState.SUCCEEDED, losses=whole))
    return made


def random_results(seed: int, n: int = 60, objectives: int = 1, constraints: int = 0, *, budgets: bool = False) -> list[Result]:
    """A study that gets better, and then no more: some trials failed, were canceled, stopped or infeasible, and ended out of order."""
    random = Random(seed)
    made = []
    for number in range(n):
        config: Config = {"x": random.random(), "y": random.random()}
        state = random.choices([RunState.SUCCEEDED, RunState.STOPPED, RunState.FAILED, RunState.CANCELED], [8, 2, 1, 1])[0]
        has_losses = state in (RunState.SUCCEEDED, RunState.STOPPED)
        level = max(0.1, 1 - number / 20)
        made.append(
            Result(
                number=number,
                config=config,
                state=state,
                losses=tuple(level * random.random() for _ in range(objectives)) if has_losses else (),
                violations=tuple(random.choice([0.0, 0.0, 0.5]) for _ in range(constraints)) if has_losses else (),
                step=9 if has_losses else None,
                budget=random.choice([1.0, 3.0, 9.0]) if budgets else None,
            )
        )
    return sorted(made, key=lambda r: r.number + 3 * random.random())


def studies() -> list[tuple[Problem, list[Result]]]:
    """Studies of all kinds."""
    return [
        (problem(), random_results(1)),
        (problem(better=Expectation.LARGER), random_results(2)),
        (problem(constraints=1), random_results(3, constraints=1)),
        (problem(), random_results(4, budgets=True)),
        (problem(objectives=2), random_results(5, objectives=2)),
        (problem(objectives=3, constraints=2), random_results(6, objectives=3, constraints=2)),
    ]


def _made(factory: Factory) -> list[tuple[Problem, list[Result]]]:
    """The studies that it can do with."""
    possible = []
    for task, history in studies():
        try:
            factory(task)
        except InvalidInput:
            continue
        possible.append((task, history))
    assert possible, "it can do with no study at all"
    return possible


def check_reasons(factory: Factory) -> None:
    """Every decision says why."""
    for task, history in _made(factory):
        terminator = factory(task)
        assert all(terminator.decide(history[:n]).reason for n in range(0, len(history) + 1, 4))


def check_pure(factory: Factory) -> None:
    """The same results give the same decision: asked twice, of an instance that was asked all along, and of one asked only now."""
    for task, history in _made(factory):
        terminator = factory(task)
        growing: list[Result] = []
        for i, result in enumerate(history):
            growing.append(result)
            decision = terminator.decide(growing)
            if i % 9 == 0 or i == len(history) - 1:
                assert terminator.decide(growing) == decision
                assert factory(task).decide(tuple(growing)) == decision


def check_changes_nothing(factory: Factory) -> None:
    """What it is given stays as it is."""
    for task, history in _made(factory):
        before = list(history)
        factory(task).decide(history)
        assert history == before


def check_begins(factory: Factory) -> None:
    """A study in which nothing has a result goes on, however many trials failed."""
    for task, _ in _made(factory):
        for history in ([], results([None]), results([None] * 50)):
            assert not factory(task).decide(history).stop


def check_goes_on_while_it_gets_better(factory: Factory) -> None:
    """A study that still has far to go, and of which each trial halves the loss, goes on."""
    for task, _ in _made(factory):
        terminator = factory(task)
        history = results([(1e9 * 0.5**i,) * len(task.objectives) for i in range(20)])
        feasible = [replace(r, violations=(0.0,) * task.constraints) for r in history]
        assert not any(terminator.decide(feasible[: i + 1]).stop for i in range(len(feasible)))


def check_all(factory: Factory) -> None:
    """All of the above."""
    for check in CHECKS:
        check(factory)


CHECKS: Sequence[Callable[[Factory], None]] = (
    check_reasons,
    check_pure,
    check_changes_nothing,
    check_begins,
    check_goes_on_while_it_gets_better,
)


def _options(name: str, problem: Problem) -> dict[str, Any]:
    """Those that have no default."""
    return {"value": {problem.objectives[0].metric: 0.2}} if name == "target" else {}
