from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wichtel.domain import Expectation, Objective
from wichtel.testing import pruners as suite
from wichtel.tuning.curves import Curves
from wichtel.tuning.fronts import Fronts
from wichtel.tuning.pareto import non_dominated_rank

LARGER, SMALLER = Expectation.LARGER, Expectation.SMALLER


def test_what_a_further_attempt_repeats_is_not_counted_twice():
    curves = suite.curves_of([(0, 1, 0.5), (0, 2, 0.6)])
    assert not curves.add(0, 1, 0.4)
    assert curves[0].losses == [-0.5, -0.6]
    assert curves.add(0, 3, 0.7)


def test_a_curve_answers_for_any_step():
    curve = suite.curves_of([(0, 1, 4.0), (0, 3, 2.0), (0, 5, 3.0)], SMALLER)[0]
    assert (curve.last, curve.best) == (5, 2.0)
    assert [curve.average(s) for s in (0, 1, 4, 9)] == [None, 4.0, 3.0, 3.0]
    assert [curve.best_by(s) for s in (0, 1, 4, 9)] == [None, 4.0, 2.0, 2.0]
    assert [curve.reached(s) for s in (0, 2, 5, 6)] == [4.0, 2.0, 3.0, None]


@given(seed=st.integers(0, 10**6), at=st.integers(0, 15), objectives=st.integers(1, 3), asked=st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_columns_kept_up_to_date_equal_columns_built_afresh(seed, at, objectives, asked):
    events = suite.random_events(seed, objectives=objectives, trials=12, broken=0.03)
    better = (LARGER, SMALLER, LARGER)[:objectives]
    kept = suite.curves_of([], *better)
    for i, event in enumerate(events):
        suite.note(kept, event)
        if i >= asked and (i % 13 == 0 or i == len(events) - 1):
            fresh = suite.curves_of(events[: i + 1], *better)
            assert list(kept.averages(at)) == list(fresh.averages(at))
            assert list(kept.reached(at)) == list(fresh.reached(at))
            assert list(kept.reached(at, _even)) == list(fresh.reached(at, _even))
            assert kept[event[0]].losses == fresh[event[0]].losses
            assert sorted(kept.finals) == sorted(fresh.finals)


def _even(trial):
    return trial % 2 == 0


@given(seed=st.integers(0, 10**6), at=st.integers(1, 12), objectives=st.integers(2, 3))
@settings(max_examples=30, deadline=None)
def test_the_loss_of_several_objectives_is_the_non_dominated_rank_at_the_step(seed, at, objectives):
    events = suite.random_events(seed, objectives=objectives, trials=8)
    curves = suite.curves_of(events, *(LARGER,) * objectives)
    first, means = {}, {}
    for trial, step, values in events:
        if step is not None:
            if step >= at:
                first.setdefault(trial, values)
            if step <= at:
                means.setdefault(trial, []).append(values)
    means = {t: v for t, v in means.items() if curves[t].last >= at}
    ranks = non_dominated_rank(-np.array(list(first.values())))
    assert {t: curves[t].reached(at) for t in first} == dict(zip(first, ranks.tolist(), strict=True))
    assert list(curves.reached(at)) == sorted(ranks.tolist())
    averages = {t: np.mean(v, axis=0) for t, v in means.items()}
    expected = non_dominated_rank(-np.round(list(averages.values()), 12)) if averages else np.array([])
    assert list(curves.averages(at)) == sorted(expected.tolist())


def test_one_value_that_is_not_finite_puts_a_trial_behind_all_others():
    curves = suite.curves_of([(0, 1, (0.1, 5.0)), (1, 1, (math.nan, 0.0)), (2, 1, (0.2, 6.0))], LARGER, SMALLER)
    assert [curves[t].losses[0] for t in range(3)] == [0, 1, 0]
    assert curves.words(curves[1].losses[0]) == "front 2"
    for trial in range(3):
        curves.end(trial)
    assert sorted(curves.finals) == [(-0.2, 6.0), (-0.1, 5.0)]


def test_values_are_given_for_each_objective():
    curves = Curves((Objective(metric="a", better=LARGER), Objective(metric="b", better=SMALLER)))
    with pytest.raises(ValueError, match="zip"):
        curves.add(0, 1, 0.5)


@given(st.integers(2, 4).flatmap(lambda m: st.lists(st.tuples(*[st.integers(0, 6).map(float)] * m), min_size=1, max_size=40)))
@settings(max_examples=150, deadline=None)
def test_fronts_kept_while_points_come_are_those_of_all_points(points):
    kept = Fronts()
    for i, point in enumerate(points):
        would_be = kept.rank(point)
        kept.add(point)
        expected = non_dominated_rank(np.array(points[: i + 1])).tolist()
        assert would_be == expected[i]
        assert [kept.rank(p) for p in points[: i + 1]] == expected
        assert list(kept.ranks()) == sorted(expected)
    assert list(Fronts(points).ranks()) == list(kept.ranks())
