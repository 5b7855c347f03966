from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wichtel.domain import Algorithm, Expectation, InvalidInput, RunState
from wichtel.testing import terminators as suite
from wichtel.tuning.registry import make_terminator, terminator_names
from wichtel.tuning.terminators.no_improvement import NoImprovement
from wichtel.tuning.terminators.target import Target


def test_the_built_in_terminators_are_registered():
    assert {"no_improvement", "target"} <= set(terminator_names())


@pytest.mark.parametrize("name", suite.registered())
@pytest.mark.parametrize("check", suite.CHECKS, ids=lambda c: c.__name__)
def test_conformance(name, check):
    check(suite.registered()[name])


def test_a_target_is_reached_by_the_first_trial_that_is_good_enough():
    problem = suite.problem(better=Expectation.LARGER)
    history = suite.results([-0.5, -0.7, None, -0.9, -0.95])
    terminator = Target(problem, value=0.9)
    assert not terminator.decide(history[:3]).stop
    decision = terminator.decide(history)
    assert decision.stop
    assert decision.reason == "trial 3 reached the target: score0 0.9, which was to be at least 0.9"


def test_a_target_of_several_objectives_is_reached_by_one_trial():
    problem = suite.problem(objectives=2)
    terminator = Target(problem, value={"score0": 1.0, "score1": 2.0})
    history = suite.results([(0.5, 3.0), (1.5, 1.0), (1.0, 2.0)])
    assert not terminator.decide(history[:2]).stop
    assert terminator.decide(history).reason.startswith("trial 2 reached the target: score0 1, ")


@pytest.mark.parametrize(
    "change", [{"violations": (0.1,)}, {"state": RunState.STOPPED}, {"state": RunState.FAILED, "losses": ()}], ids=lambda c: next(iter(c))
)
@pytest.mark.parametrize("make", [lambda p: Target(p, value=1.0), lambda p: NoImprovement(p, trials=3)], ids=["target", "no_improvement"])
def test_only_a_feasible_trial_that_ran_to_its_end_counts(make, change):
    history = suite.results([5.0, 5.0, 5.0, 0.5])
    problem = suite.problem(constraints=1)
    with_it, without = make(problem).decide(history), make(problem).decide([*history[:3], replace(history[3], **change)])
    assert with_it.stop is not without.stop


def test_what_was_seen_with_a_smaller_budget_does_not_end_a_study():
    small = [replace(r, budget=1.0) for r in suite.results([0.5] * 40)]
    large = [replace(r, number=40 + r.number, budget=9.0) for r in suite.results([0.7] * 31)]
    terminator = NoImprovement(suite.problem())
    assert terminator.decide(small).stop
    assert not terminator.decide([*small, *large[:-1]]).stop
    assert not terminator.decide([*small, *large[:-1], *(replace(r, number=90 + r.number) for r in small)]).stop
    assert NoImprovement(suite.problem()).decide([*small, *large]).stop
    reached = Target(suite.problem(), value=0.6)
    assert reached.decide(small).stop
    assert not reached.decide([*small, *large]).stop


def test_better_by_less_than_min_delta_is_no_improvement_until_it_adds_up():
    terminator = NoImprovement(suite.problem(), trials=4, min_delta=0.1)
    history = suite.results([1.0, 0.97, 0.94, 0.91, 0.88, 0.85, 0.82, 0.79, 0.775])
    decisions = [terminator.decide(history[: i + 1]) for i in range(len(history))]
    assert [d.stop for d in decisions] == [False] * 9
    assert decisions[-1].reason == "trial 8 was better 0 trials ago: score0 0.775"
    strict = NoImprovement(suite.problem(), trials=4, min_delta=0.2)
    assert [strict.decide(history[: i + 1]).stop for i in range(6)] == [False] * 4 + [True] * 2


def test_the_study_goes_on_until_min_trials():
    terminator = NoImprovement(suite.problem(), trials=2, min_trials=5)
    history = suite.results([1.0] * 5)
    assert "fewer than 5 trials" in terminator.decide(history[:4]).reason
    assert terminator.decide(history).stop


@given(
    losses=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30),
    trials=st.integers(1, 6),
    cut=st.integers(1, 30),
)
@settings(max_examples=60, deadline=None)
def test_a_study_of_two_objectives_stands_still_when_its_front_does(losses, trials, cut):
    history = suite.results([(float(a), float(b)) for a, b in losses])
    terminator = NoImprovement(suite.problem(objectives=2), trials=trials)
    terminator.decide(history[:cut])
    since = next(i for i in range(len(losses)) if _is_on_front(losses, len(losses) - 1 - i))
    assert terminator.decide(history).stop == (since >= trials)


def _is_on_front(losses, i):
    """Whether trial `i` was better than all before it."""
    return not any(a <= losses[i][0] and b <= losses[i][1] for a, b in losses[:i])


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("target", {}, "its options do not do.*value"),
        ("target", {"value": {}}, "needs a value"),
        ("target", {"value": 1.0}, "may be for any of score0, score1"),
        ("target", {"value": {"scroe1": 1.0}}, "Did you mean 'score1'"),
        ("target", {"value": {"score0": float("nan")}}, "must be finite"),
        ("no_improvement", {"trials": 0}, "trials is 0"),
        ("no_improvement", {"min_delta": -1.0}, "min_delta is -1"),
        ("no_improvement", {"trails": 3}, "Did you mean 'trials'"),
        ("no_improvment", {}, "Did you mean 'no_improvement'"),
    ],
)
def test_options_that_make_no_sense_are_told(name, options, told):
    with pytest.raises(InvalidInput, match=told):
        make_terminator(Algorithm(name=name, options=options), suite.problem(objectives=2))
