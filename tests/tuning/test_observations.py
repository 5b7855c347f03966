from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wichtel.domain import RunState
from wichtel.tuning.models import observations
from wichtel.tuning.models.observations import Observations
from wichtel.tuning.pareto import crowding_distance, non_dominated_rank
from wichtel.tuning.ports import Result

LOSS = st.floats(-1e308, 1e308)


def _result(number, losses=(), violations=(), state=RunState.SUCCEEDED, step=None):
    return Result(number=number, config={}, state=state, losses=tuple(losses), violations=tuple(violations), step=step)


def _order(results):
    seen = Observations(1)
    for result in results:
        seen.add(np.array([result.number]), result)
    assert seen.vectors[:, 0].tolist() == [r.number for r in results]
    return seen.order.tolist()


def test_finished_before_stopped_before_infeasible_before_failed():
    results = [
        _result(0, state=RunState.FAILED),
        _result(1, [0.0], [3.0, 0.0]),
        _result(2, [0.0], [0.0], state=RunState.STOPPED, step=2),
        _result(3, [9.0], [0.0]),
        _result(4, [0.0], [0.0], state=RunState.STOPPED, step=5),
        _result(5, [7.0], [0.0]),
        _result(6, state=RunState.FAILED),
    ]
    assert _order(results) == [5, 3, 4, 2, 1, 0, 6]


def test_violations_count_as_shares_of_the_largest():
    # The second constraint is in another unit; a metric that is missing is the worst violation.
    results = [_result(0, [0.0], [1.0, 500.0]), _result(1, [0.0], [0.8, 900.0]), _result(2, [0.0], [0.1, math.inf])]
    assert _order(results) == [0, 1, 2]
    assert _order([*results, _result(3, [0.0], [0.1, 100_000.0])]) == [1, 0, 3, 2]


@given(losses=st.lists(st.none() | LOSS, max_size=200))
@settings(max_examples=60, deadline=None)
def test_one_loss_is_kept_sorted(losses):
    results = [
        _result(i, [] if v is None else [v], state=RunState.FAILED if v is None else RunState.SUCCEEDED) for i, v in enumerate(losses)
    ]
    expected = sorted(range(len(losses)), key=lambda i: (losses[i] is None, losses[i] or 0.0, i))
    assert _order(results) == expected


@given(losses=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60), pool=st.integers(1, 80))
@settings(max_examples=60, deadline=None)
def test_fronts_come_in_their_order(losses, pool):
    before, observations._POOL = observations._POOL, pool
    try:
        order = _order([_result(i, pair) for i, pair in enumerate(losses)])
    finally:
        observations._POOL = before
    assert sorted(order) == list(range(len(losses)))
    told_apart = np.array(losses, dtype=float)[order[:pool]]
    assert (np.diff(non_dominated_rank(told_apart)) >= 0).all()
    if pool >= len(losses):
        assert (np.diff(non_dominated_rank(np.array(losses, dtype=float))[order]) >= 0).all()


def test_the_pool_is_as_if_sorted_anew_though_what_is_behind_it_is_not_looked_at(monkeypatch):
    monkeypatch.setattr(observations, "_POOL", 10)
    losses = np.random.default_rng(0).random((300, 2))
    seen = observations.Observations(0)
    for i, pair in enumerate(losses.tolist()):
        seen.add(np.zeros(0), _result(i, tuple(pair)))
        best = seen.order[:10]
        ranks = non_dominated_rank(losses[best])
        assert (np.diff(ranks) >= 0).all()
        for rank in range(ranks.max() + 1):
            lonely = crowding_distance(losses[best[ranks == rank]])
            assert (lonely[1:] <= lonely[:-1]).all()
