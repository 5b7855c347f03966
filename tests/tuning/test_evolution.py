"""Evolution, NSGA-II, REINFORCE and CMA-ES: what they are for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wichtel.domain import Algorithm, Bool, Choice, Float, Int, InvalidInput, RunState, Space
from wichtel.testing import searchers as suite
from wichtel.tuning.pareto import hypervolume
from wichtel.tuning.ports import Result
from wichtel.tuning.registry import make_searcher
from wichtel.tuning.searchers import cmaes

LEARNING = ["evolution", "nsga2", "reinforce", "cmaes"]
NUMBERS = Space({"x": Float(-5, 5), "y": Float(1e-4, 1e4, log=True), "n": Int(0, 100)})
#: A choice opens parameters of its own.
BRANCHES = Space(
    {
        "kind": Choice(["a", "b", "c", "d"]),
        "a": Float(0, 1, when={"kind": ["a"]}),
        "b": Int(0, 9, when={"kind": ["b"]}),
        "deep": Bool(when={"kind": ["b"]}),
        "x": Float(0, 1),
    }
)


def _made(name, space, seed=0, *, objectives=1, constraints=0, workers=8, trials=100, **options):
    problem = suite.problem(space, seed, objectives=objectives, constraints=constraints, workers=workers, trials=trials)
    return make_searcher(Algorithm(name=name, options=options), problem)


def _run(searcher, loss, *, trials=100, workers=8, violation=None):
    """The losses and violations of all trials, `workers` at once."""
    running, losses, violations = [], [], []
    while len(losses) < trials:
        while len(running) < workers and len(losses) + len(running) < trials:
            running.append((len(losses) + len(running), searcher.sample(1)[0]))
        number, s = running.pop(0)
        given = loss(s.config)
        state = RunState.FAILED if given is None else RunState.SUCCEEDED
        given = () if given is None else given if isinstance(given, tuple) else (given,)
        broken = (violation(s.config),) if violation and given else ()
        losses.append(given)
        violations.append(broken)
        searcher.update([Result(number=number, config=s.config, state=state, losses=given, violations=broken, memory=s.state)])
    return losses, violations


def _numbers(c):
    return (c["x"] - 1) ** 2 + np.log(c["y"]) ** 2 + ((c["n"] - 70) / 10) ** 2


def _branches(c):
    away = {"a": 2.0, "b": 0.1 * abs(c.get("b", 0) - 7) + 0.2 * (not c.get("deep")), "c": 1.0, "d": 3.0}[c["kind"]]
    return away + (c["x"] - 0.4) ** 2


def _best(name, space, loss):
    return np.mean([min(_run(_made(name, space, seed), loss)[0])[0] for seed in range(6)])


@pytest.mark.parametrize("name", LEARNING)
def test_they_come_further_than_random_search(name):
    assert _best(name, NUMBERS, _numbers) < 0.6 * _best("random", NUMBERS, _numbers)


@pytest.mark.parametrize("name", ["evolution", "nsga2", "reinforce"])
def test_they_find_the_right_branch(name):
    for seed in range(3):
        searcher = _made(name, BRANCHES, seed)
        _run(searcher, _branches)
        assert sum(s.config["kind"] == "b" for s in searcher.sample(20)) >= 12


@pytest.mark.parametrize("name", LEARNING)
def test_they_keep_to_what_is_feasible(name):
    space = Space({"x": Float(-5, 5), "y": Float(-5, 5)})
    _, violations = _run(_made(name, space, constraints=1), lambda c: c["x"] + c["y"], violation=lambda c: max(0.0, -c["x"] - c["y"]))
    assert sum(v == (0.0,) for v in violations[60:]) >= 20


@pytest.mark.parametrize("name", LEARNING)
def test_they_keep_away_from_what_fails(name):
    losses, _ = _run(_made(name, Space({"x": Float(0, 1), "y": Float(0, 1)})), lambda c: None if c["x"] < 0.5 else c["y"])
    assert sum(not given for given in losses[50:]) <= 18


@pytest.mark.parametrize("name", ["nsga2", "evolution"])
def test_they_find_a_front(name):
    space = Space({f"x{i}": Float(0, 1) for i in range(4)})

    def two(c):
        g = 1 + 3 * sum(c[f"x{i}"] for i in range(1, 4))
        return c["x0"], g * (1 - (c["x0"] / g) ** 0.5)

    def volume(name):
        return np.mean([hypervolume(np.array(_run(_made(name, space, seed, objectives=2), two)[0]), (1.1, 4.0)) for seed in range(4)])

    assert volume(name) > volume("random") + 0.2


@pytest.mark.parametrize("name", ["reinforce", "cmaes"])
def test_several_objectives_are_refused_with_advice(name):
    with pytest.raises(InvalidInput, match=r"one objective.*nsga2"):
        _made(name, NUMBERS, objectives=2)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("evolution", {"population": 1}),
        ("evolution", {"tournament": 0}),
        ("evolution", {"scale": 0}),
        ("nsga2", {"population": 1}),
        ("nsga2", {"crossover": 2}),
        ("nsga2", {"spread": 0}),
        ("reinforce", {"rate": 0}),
        ("reinforce", {"entropy": -1}),
        ("reinforce", {"memory": 1}),
        ("cmaes", {"population": 1}),
        ("cmaes", {"population": 3}),
        ("cmaes", {"sigma": 0}),
        ("cmaes", {"sigma": 2}),
    ],
)
def test_bad_options_are_told(name, options):
    with pytest.raises(InvalidInput, match=f"searcher '{name}'"):
        _made(name, NUMBERS, **options)


@pytest.mark.parametrize("options", [{"rate": 1e4}, {"entropy": 1e4}])
def test_reinforce_with_steps_too_long_stays_a_search(options):
    losses, _ = _run(_made("reinforce", BRANCHES, **options), _branches)
    assert len(losses) == 100


def test_cmaes_tells_what_failed_from_what_is_huge_or_breaks_a_constraint():
    def result(number, *losses, broken=0.0):
        state = RunState.SUCCEEDED if losses else RunState.FAILED
        return Result(number=number, config={}, state=state, losses=losses, violations=(broken,) if losses else ())

    results = [
        result(0),
        result(1, 3.0, broken=math.inf),
        result(2, -9.0, broken=0.2),
        result(3, 1e18),
        result(4, 5.0),
        result(5, 2.0, broken=0.1),
    ]
    values = cmaes._values(results)
    assert all(map(math.isfinite, values))
    assert sorted(range(6), key=values.__getitem__) == [4, 3, 5, 2, 0, 1]
    assert values[4] == 5.0
