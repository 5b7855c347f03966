from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wichtel.domain import Algorithm, Float, Int, InvalidInput, Objective, RunState, Space, StudySpec
from wichtel.testing import searchers as suite
from wichtel.tuning.ports import Result
from wichtel.tuning.registry import check_algorithms, make_searcher, searcher_names


def test_the_built_in_searchers_are_registered():
    ours = "auto bohb cmaes evolution gp grid hyperband nsga2 pbt random reinforce sobol tpe"
    assert set(ours.split()) <= set(searcher_names())


@pytest.mark.parametrize("name", suite.registered())
@pytest.mark.parametrize("check", suite.CHECKS, ids=lambda c: c.__name__)
def test_conformance(name, check):
    factory = suite.registered()[name]
    check(factory)


@pytest.mark.parametrize("name", ["random", "tpe", "cmaes", "evolution", "nsga2", "reinforce"])
@given(seed=st.integers(0, 10**6), cut=st.integers(0, 30), workers=st.integers(1, 5), space=st.sampled_from(sorted(suite.SPACES)))
@settings(max_examples=15, deadline=None)
def test_a_resumed_searcher_goes_on_as_the_first_would_have(name, seed, cut, workers, space):
    factory, space = suite.registered()[name], suite.SPACES[space]
    original = suite.Simulation(factory(suite.problem(space, seed)), space, workers=workers, seed=seed)
    original.run(cut)
    resumed = factory(suite.problem(space, seed))
    resumed.update(list(original.news()))
    assert resumed.sample(3) == original.searcher.sample(3)


def test_names_and_options_are_checked():
    problem = suite.problem(suite.SPACES["floats"])
    with pytest.raises(InvalidInput, match="Did you mean 'random'"):
        make_searcher(Algorithm(name="randm"), problem)
    with pytest.raises(InvalidInput, match="Did you mean 'startup'"):
        make_searcher(Algorithm(name="tpe", options={"start_up": 3}), problem)
    with pytest.raises(InvalidInput, match="at least 1"):
        make_searcher(Algorithm(name="grid", options={"resolution": 0}), problem)
    for name, options, words in (
        ("grid", {"resolution": 2.5}, "'resolution' is 2.5, but must be a whole number"),
        ("tpe", {"startup": True}, "a whole number"),
        ("nsga2", {"population": 8.0}, "a whole number or None"),
        ("evolution", {"scale": float("nan")}, "a finite number"),
        ("pbt", {"perturbation": float("inf")}, "a finite number"),
        ("hyperband", {"asynchronous": "no"}, "true or false"),
    ):
        with pytest.raises(InvalidInput, match=words):
            make_searcher(Algorithm(name=name, options=options), problem)
    assert make_searcher(Algorithm(name="hyperband", options={"max_budget": 9}), problem)
    with pytest.raises(InvalidInput, match="no float or whole number"):
        make_searcher(Algorithm(name="cmaes"), suite.problem(Space({"n": Int(1, 1)})))


def _minimise(name, seed, trials=60):
    space = Space({"x": Float(-5, 5), "y": Float(-5, 5), "z": Float(-5, 5)})
    searcher = make_searcher(Algorithm(name=name), suite.problem(space, seed))
    best = float("inf")
    for number in range(trials):
        config = searcher.sample(1)[0].config
        loss = (config["x"] - 1) ** 2 + (config["y"] + 2) ** 2 + config["z"] ** 2
        state = {"generation": 0}
        best = min(best, loss)
        searcher.update([Result(number=number, config=config, state=RunState.SUCCEEDED, losses=(loss,), memory=state)])
    return best


def test_tpe_beats_random_search():
    seeds = range(4)
    assert sum(_minimise("tpe", s) for s in seeds) < 0.5 * sum(_minimise("random", s) for s in seeds)


def test_cmaes_converges():
    space = Space({"x": Float(-5, 5), "y": Float(1e-4, 1e4, log=True), "n": Int(0, 100)})
    searcher = make_searcher(Algorithm(name="cmaes"), suite.problem(space))
    losses = []
    for number in range(250):
        suggestion = searcher.sample(1)[0]
        c = suggestion.config
        losses.append((c["x"] - 1) ** 2 + math.log(c["y"]) ** 2 + ((c["n"] - 70) / 10) ** 2)
        searcher.update([Result(number=number, config=c, state=RunState.SUCCEEDED, losses=(losses[-1],), memory=suggestion.state)])
    assert min(losses) < 0.01


def test_tpe_keeps_away_from_what_fails():
    space = Space({"x": Float(0, 1)})
    searcher = make_searcher(Algorithm(name="tpe"), suite.problem(space))
    failed = []
    for number in range(60):
        x = searcher.sample(1)[0].config["x"]
        failed.append(x < 0.5)
        state, losses = (RunState.FAILED, ()) if x < 0.5 else (RunState.SUCCEEDED, (1 - x,))
        searcher.update([Result(number=number, config={"x": x}, state=state, losses=losses)])
    assert sum(failed[20:]) <= 4


def test_nothing_is_said_and_nothing_warned(capfd):
    suite.check_legal(suite.registered()["tpe"])
    assert capfd.readouterr() == ("", "")


class _Point:
    def __init__(self, name, value, load):
        self.name, self.value, self.load = name, value, load


def test_a_broken_plug_in_is_named_and_harms_no_other(monkeypatch):
    from wichtel.tuning import registry

    real = registry.entry_points(group=registry.SEARCHERS)

    def broken():
        raise ImportError("no module named 'nowhere'")

    points = [*real, _Point("odd", "nowhere:Odd", broken), _Point("null", "nowhere:Null", lambda: lambda problem: None)]
    points.append(_Point("random", "nowhere:Thief", broken))
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    registry._registered.cache_clear()
    try:
        problem = suite.problem(suite.SPACES["floats"])
        with pytest.raises(InvalidInput, match=r"searcher 'odd' \(nowhere:Odd\): it does not load: ImportError: no module named"):
            make_searcher(Algorithm(name="odd"), problem)
        with pytest.raises(InvalidInput, match="has no sample"):
            make_searcher(Algorithm(name="null"), problem)
        assert len(make_searcher(Algorithm(name="random"), problem).sample(2)) == 2
    finally:
        registry._registered.cache_clear()


def test_a_study_is_checked_before_it_is_taken():
    objective = Objective(metric="loss", better="smaller")
    spec = StudySpec(id="s", name="s", space=suite.SPACES["floats"], objectives=(objective,), entry="m:f")
    check_algorithms(spec)
    with pytest.raises(InvalidInput, match="stands there twice"):
        check_algorithms(replace(spec, objectives=(objective, objective)))
    with pytest.raises(InvalidInput, match="Did you mean 'median'"):
        check_algorithms(replace(spec, pruner=Algorithm(name="medain")))
