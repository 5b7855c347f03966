from __future__ import annotations

import copy
import warnings

import optuna
import pytest

from wichtel.domain import Bool, Float, Int, InvalidInput, RunState, Space
from wichtel.testing import searchers as suite
from wichtel.tuning.ports import Result
from wichtel.tuning.searchers.optuna import OptunaSearcher, adapt

with warnings.catch_warnings():
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    _QMC = optuna.samplers.QMCSampler(seed=1, warn_asynchronous_seeding=False)

SAMPLERS = {
    "random": optuna.samplers.RandomSampler(),
    "tpe": optuna.samplers.TPESampler(n_startup_trials=5),
    "cmaes": optuna.samplers.CmaEsSampler(n_startup_trials=3, popsize=4),
    "nsga2": optuna.samplers.NSGAIISampler(population_size=4),
    "qmc": _QMC,
}


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("check", [suite.check_no_duplicates, suite.check_replay, suite.check_batches, suite.check_foreign])
def test_samplers_of_optuna_conform(name, check):
    check(adapt(SAMPLERS[name]))


@pytest.mark.parametrize("name", ["nsga2", "cmaes"])
def test_several_objectives_are_taken_or_refused(name):
    suite.check_harder(adapt(SAMPLERS[name]))


def _run(searcher, loss, trials, violation=None):
    found = []
    for number in range(trials):
        suggestions = searcher.sample(1)
        if not suggestions:
            break
        s = suggestions[0]
        violations = (violation(s.config),) if violation else ()
        found.append((loss(s.config), s.config))
        ended = RunState.SUCCEEDED
        searcher.update([Result(number=number, config=s.config, state=ended, losses=(loss(s.config),), violations=violations)])
    return found


def test_a_grid_of_the_users_is_gone_through_once():
    space = Space({"n": Int(1, 9), "flag": Bool(), "x": Float(0, 1)})
    sampler = optuna.samplers.GridSampler({"n": [1, 5, 9], "flag": [True, False], "x": [0.25]})
    found = _run(OptunaSearcher(suite.problem(space), sampler=sampler), lambda c: c["n"], 20)
    assert sorted((c["n"], c["flag"], c["x"]) for _, c in found) == [(n, f, 0.25) for n in (1, 5, 9) for f in (False, True)]


def test_constraints_steer_the_sampler():
    space = Space({"x": Float(0, 1)})
    searcher = adapt(optuna.samplers.TPESampler())(suite.problem(space, constraints=1))
    found = _run(searcher, lambda c: c["x"], 60, violation=lambda c: max(0.0, 0.5 - c["x"]))
    free = _run(adapt(optuna.samplers.TPESampler())(suite.problem(space)), lambda c: c["x"], 60)
    assert sum(x >= 0.5 for x, _ in found[30:]) > 10 > sum(x >= 0.5 for x, _ in free[30:])


def test_the_samplers_own_object_is_left_alone():
    sampler = optuna.samplers.TPESampler(seed=1)
    before = copy.deepcopy(sampler._rng.rng.get_state()[1].tolist())
    _run(adapt(sampler)(suite.problem(suite.SPACES["floats"])), lambda c: c["x"], 15)
    assert sampler._rng.rng.get_state()[1].tolist() == before


def test_what_does_not_fit_is_refused_at_once():
    space = suite.SPACES["floats"]
    with pytest.raises(InvalidInput, match="no sampler of Optuna"):
        OptunaSearcher(suite.problem(space), sampler="tpe")
    with pytest.raises(InvalidInput, match="CmaEsSampler"):
        adapt(SAMPLERS["cmaes"])(suite.problem(space, objectives=2))
    with pytest.raises(InvalidInput, match="GridSampler"):
        adapt(optuna.samplers.GridSampler({"y": [1]}))(suite.problem(space))


def test_nothing_is_said_and_nothing_warned(capfd):
    suite.check_batches(adapt(SAMPLERS["cmaes"]))
    assert capfd.readouterr() == ("", "")
