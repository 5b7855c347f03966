from __future__ import annotations

from dataclasses import replace

import pytest

import wichtel as wt
from wichtel.domain import Bool, Choice, Float, Int, RunState, Space
from wichtel.testing import searchers as suite
from wichtel.tuning.ports import Result
from wichtel.tuning.searchers import auto
from wichtel.tuning.searchers.auto import Auto

NUMBERS = Space({"x": Float(0, 1), "y": Float(0, 1)})


@pytest.mark.parametrize(
    ("first", "space", "problem"),
    [
        ("grid", Space({"a": Bool(), "b": Int(1, 5)}), {"trials": 20}),
        ("sobol", NUMBERS, {"trials": 30, "workers": 20}),
        ("gp", NUMBERS, {"trials": 50}),
        ("tpe", Space({f"x{i}": Float(0, 1) for i in range(60)}), {"trials": 100}),
        ("gp", NUMBERS, {"trials": 1000, "objectives": 2, "constraints": 1}),
        ("tpe", NUMBERS, {"trials": 1000, "workers": 100}),
        ("nsga2", NUMBERS, {"trials": 5000, "objectives": 2}),
    ],
)
def test_it_chooses_by_space_trials_workers_and_objectives_and_says_so(first, space, problem):
    searcher = Auto(suite.problem(space, **problem))
    assert searcher.explanation.startswith(f"{first}: ")
    assert searcher.learns == (first not in ("grid", "sobol"))
    for suggestion in searcher.sample(5):
        space.check(suggestion.config)


@pytest.mark.parametrize("space", [Space({"n": Int(1, 50)}), Space({"n": Int(1, 30, log=True), "b": Bool(when={"n": [2]})})])
def test_where_each_configuration_can_be_tried_each_is(space):
    trials = len([*space.grid(100)])
    searcher = Auto(suite.problem(space, trials=trials))
    assert f"each of the {trials} configurations" in searcher.explanation
    assert len({space.key(s.config) for s in searcher.sample(100)}) == trials


@pytest.mark.parametrize("trials", [1, 3])
def test_with_more_workers_than_trials_it_speaks_of_as_many_as_there_are_trials(trials):
    assert f"with {trials} of {trials} trials" in Auto(suite.problem(NUMBERS, trials=trials, workers=8)).explanation


def test_a_space_of_very_many_choices_is_not_counted_out():
    assert Auto(suite.problem(Space({f"b{i}": Bool() for i in range(1500)}))).explanation.startswith("tpe: ")


def test_it_hands_over_and_nothing_is_forgotten(monkeypatch):
    monkeypatch.setattr(auto, "_GP_TRIALS", 8)
    problem = suite.problem(NUMBERS, trials=60)
    searcher = Auto(problem)
    assert "gp: " in searcher.explanation
    assert "then tpe: " in searcher.explanation
    simulation = suite.Simulation(searcher, NUMBERS)
    simulation.run(30)
    assert searcher.explanation.startswith("tpe: ")
    resumed = Auto(problem)
    resumed.update(list(simulation.news()))
    assert resumed.sample(3) == searcher.sample(3)


def test_a_batch_across_the_hand_over_is_the_same_as_one_by_one(monkeypatch):
    monkeypatch.setattr(auto, "_GP_TRIALS", 8)
    first, second = (Auto(suite.problem(NUMBERS, trials=60)) for _ in range(2))
    own = [Result(number=i, config={"x": i / 20, "y": 0.5}, state=RunState.RUNNING) for i in range(6)]
    for searcher in (first, second):
        searcher.update([*own, *(replace(r, state=RunState.SUCCEEDED, losses=(abs(r.config["x"] - 0.2),)) for r in own)])
    assert first.sample(5) == [s for _ in range(5) for s in second.sample(1)]


def test_a_study_uses_it_unless_told_otherwise():
    study = wt.tune(
        lambda x, kind: x + (kind == "a"), {"x": Float(0, 1), "kind": Choice(["a", "b"])}, minimize="loss", trials=15, engine="inline"
    )
    assert study.study.spec.searcher.name == "auto"
    assert study.best.metrics["loss"] < 0.3
