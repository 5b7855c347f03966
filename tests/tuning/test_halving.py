from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wichtel.domain import Algorithm, Float, InvalidInput, RunState, Space
from wichtel.testing import searchers as suite
from wichtel.tuning.halving import Brackets
from wichtel.tuning.ports import Result
from wichtel.tuning.registry import make_searcher

SPACE = Space({"x": Float(0, 1), "y": Float(0, 1)})


def _made(name="hyperband", seed=0, **options):
    return make_searcher(Algorithm(name=name, options=options), suite.problem(SPACE, seed))


def _run(searcher, trials, workers=1, fate=lambda number: RunState.SUCCEEDED):
    """Each trial's suggestion; losses depend on x alone."""
    suggestions, running = [], []
    while len(suggestions) < trials:
        while len(running) < workers and len(suggestions) < trials and (found := searcher.sample(1)):
            running.append(len(suggestions))
            suggestions += found
        if not running:
            break
        number = running.pop(0)
        s, state = suggestions[number], fate(number)
        losses = (s.config["x"],) if state is RunState.SUCCEEDED else ()
        ended = Result(number=number, config=s.config, state=state, losses=losses, budget=s.budget, parent=s.parent, memory=s.state)
        searcher.update([ended])
    return suggestions


@pytest.mark.parametrize("workers", [1, 4])
def test_the_published_brackets(workers):
    # Table 1 of the paper, for R = 27 and eta = 3, turned on its head: budget by how many of the bracket come to it.
    expected = [{1: 27, 3: 9, 9: 3, 27: 1}, {3: 12, 9: 4, 27: 1}, {9: 6, 27: 2}, {27: 4}]
    count = sum(sum(b.values()) for b in expected)
    suggestions = _run(_made(asynchronous=False), 2 * count, workers)
    for cycle in (0, 1):
        for kind, rungs in enumerate(expected):
            assert Counter(s.budget for s in suggestions if s.state["bracket"] == 4 * cycle + kind) == rungs


def test_the_sizes_of_brackets_are_exact():
    # 11/9 · 3⁸ is 8019, and a little more in floating-point numbers.
    assert Brackets(1, 3**10, 3, False, where="").sizes[2] == 8019


def test_a_synchronous_rung_promotes_the_best_of_all_and_waits_for_the_last():
    searcher = _made(asynchronous=False, max_budget=9)
    suggestions = _run(searcher, 9 + 3, workers=3)
    best = sorted(range(9), key=lambda n: suggestions[n].config["x"])[:3]
    assert [s.parent for s in suggestions[9:]] == best
    assert all(s.config == suggestions[s.parent].config for s in suggestions[9:])


def test_an_asynchronous_rung_promotes_what_is_among_the_best_third_so_far():
    suggestions = _run(_made(max_budget=3), 60, workers=1)
    for number, s in enumerate(suggestions):
        if s.parent is not None:
            ended = [t for t in range(number) if suggestions[t].budget == 1]
            better = [t for t in ended if suggestions[t].config["x"] < s.config["x"]]
            assert s.parent in ended
            assert len(better) < len(ended) // 3
    # About a third of those that began at the bottom; a few more, since what was among the best at first may not stay there.
    promoted = sum(s.parent is not None for s in suggestions)
    assert 0.2 < promoted / sum(s.budget == 1 for s in suggestions) < 0.5


def test_nothing_is_promoted_that_failed_or_was_stopped():
    fates = [RunState.FAILED, RunState.SUCCEEDED, RunState.STOPPED, RunState.CANCELED]
    for asynchronous in (True, False):
        suggestions = _run(_made(asynchronous=asynchronous), 80, workers=3, fate=lambda number: fates[number % 4])
        assert len(suggestions) == 80
        assert {fates[s.parent % 4] for s in suggestions if s.parent is not None} == {RunState.SUCCEEDED}


@given(
    seed=st.integers(0, 10**6),
    cut=st.integers(0, 60),
    workers=st.integers(1, 5),
    name=st.sampled_from(["hyperband", "bohb", "pbt"]),
    space=st.sampled_from(sorted(suite.SPACES)),
    asynchronous=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_a_resumed_searcher_goes_on_as_the_first_would_have(seed, cut, workers, name, space, asynchronous):
    options = {"population": 5} if name == "pbt" else {"max_budget": 9, "asynchronous": asynchronous}

    def made():
        return make_searcher(Algorithm(name=name, options=options), suite.problem(suite.SPACES[space], seed))

    original = suite.Simulation(made(), suite.SPACES[space], workers=workers, seed=seed)
    original.run(cut)
    resumed = made()
    resumed.update(list(original.news()))
    assert resumed.sample(3) == original.searcher.sample(3)


def test_a_small_space_is_promoted_to_its_end():
    space = suite.SPACES["finite"]
    for asynchronous in (True, False):
        problem = suite.problem(space)
        options = {"max_budget": 3, "asynchronous": asynchronous}
        simulation = suite.Simulation(make_searcher(Algorithm(name="hyperband", options=options), problem), space)
        simulation.run(100)
        assert simulation.exhausted
        assert len({space.key(c) for c in simulation.configs}) == suite.FINITE_SIZE


def test_bohb_learns_what_hyperband_does_not():
    def mean(random_fraction):
        searchers = [_made("bohb", seed, random_fraction=random_fraction, max_budget=9) for seed in range(3)]
        fresh = [s.config["x"] for searcher in searchers for s in _run(searcher, 180, workers=4)[90:] if s.parent is None]
        return sum(fresh) / len(fresh)

    assert mean(0.0) < 0.3 < 0.4 < mean(1.0)


def test_the_users_own_trials_do_not_disturb():
    searcher = _made(max_budget=3)
    own = Result(number=0, config={"x": 0.5, "y": 0.5}, state=RunState.RUNNING)
    searcher.update([own])
    searcher.update([replace(own, state=RunState.SUCCEEDED, losses=(0.0,))])
    assert all(s.parent != 0 for s in searcher.sample(10))


def test_it_says_what_it_does():
    assert "27 at 1, 12 at 3, 6 at 9, 4 at 27 begin" in _made().explanation


@pytest.mark.parametrize("name", ["hyperband", "bohb"])
@pytest.mark.parametrize("options", [{"min_budget": 0}, {"min_budget": 5, "max_budget": 3}, {"max_budget": float("inf")}, {"eta": 1}])
def test_bad_options_are_told(name, options):
    with pytest.raises(InvalidInput, match=f"searcher '{name}'"):
        _made(name, **options)
