from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wichtel.domain import InvalidInput, RunState
from wichtel.tuning.pareto import crowding_distance, front, hypervolume, non_dominated_rank, order
from wichtel.tuning.ports import Result


def tables(most):
    values = st.integers(0, 5)
    rows = st.integers(1, most).flatmap(lambda m: st.lists(st.lists(values, min_size=m, max_size=m), min_size=1, max_size=14))
    return rows.map(lambda found: np.array(found, dtype=float))


def dominates(a, b):
    return (a <= b).all() and (a < b).any()


@given(tables(4))
@settings(deadline=None)
def test_ranks_are_those_of_peeling_off_one_front_after_another(losses):
    expected = np.full(len(losses), -1)
    left, rank = set(range(len(losses))), 0
    while left:
        best = {i for i in left if not any(dominates(losses[j], losses[i]) for j in left)}
        expected[list(best)] = rank
        left -= best
        rank += 1
    assert non_dominated_rank(losses).tolist() == expected.tolist()
    assert front(losses).tolist() == np.flatnonzero(expected == 0).tolist()


@given(tables(5))
@settings(deadline=None)
def test_hypervolume_is_the_number_of_dominated_cells(losses):
    reference = [5.0] * losses.shape[1]
    cells = itertools.product(range(5), repeat=losses.shape[1])
    expected = sum(any((row <= cell).all() for row in losses) for cell in cells)
    assert hypervolume(losses, reference) == expected


def test_hypervolume_of_a_known_front():
    assert hypervolume(np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]), (4, 4)) == 6
    assert hypervolume(np.array([[5.0, 0.0]]), (4, 4)) == 0
    assert hypervolume(np.zeros((0, 2)), (4, 4)) == 0
    many = np.random.default_rng(0).random((200, 3))
    assert 0 < hypervolume(many[:100], (1, 1, 1)) <= hypervolume(many, (1, 1, 1)) < 1


def test_crowding_prefers_the_outermost_and_the_lonely():
    distance = crowding_distance(np.array([[0.0, 10.0], [1.0, 9.0], [1.5, 8.5], [6.0, 2.0], [10.0, 0.0]]))
    assert distance[[0, 4]].tolist() == [math.inf, math.inf]
    assert distance[3] > distance[2] > distance[1]
    assert crowding_distance(np.ones((3, 2))).tolist() == [0, 0, 0]
    assert crowding_distance(np.array([[-1.7e308], [0.0], [1.7e308]])).tolist() == [math.inf, 1, math.inf]


def _result(number, *losses, violations=()):
    state = RunState.SUCCEEDED if losses else RunState.FAILED
    return Result(number=number, config={}, state=state, losses=losses, violations=violations)


def test_feasible_comes_before_infeasible_before_failed():
    results = [
        _result(0),
        _result(1, 1.0, violations=(0.0, 3.0)),
        _result(2, 9.0, violations=(0.0, 0.0)),
        _result(3, 0.0, violations=(math.inf, 0.0)),
        _result(4, 2.0, violations=(0.0, 0.0)),
        _result(5, 7.0, violations=(1.0, 1.0)),
    ]
    assert [r.number for _, r in sorted(zip(order(results), results, strict=True), key=lambda kr: kr[0])] == [4, 2, 5, 1, 3, 0]


def test_several_losses_are_ordered_by_front_and_loneliness():
    results = [_result(i, *losses) for i, losses in enumerate([(2.0, 2.0), (0.0, 4.0), (1.9, 2.1), (4.0, 0.0), (9.0, 9.0)])]
    keys = order(results)
    assert sorted(range(5), key=keys.__getitem__)[-1] == 4
    assert keys[1] < keys[0]
    assert keys[3] < keys[2]


def test_nothing_has_no_front():
    assert order([]) == []
    assert non_dominated_rank(np.zeros((0, 3))).tolist() == front(np.zeros((0, 2))).tolist() == []


def test_what_is_no_table_is_refused():
    with pytest.raises(InvalidInput, match="NaN"):
        non_dominated_rank(np.array([[math.nan, 1.0]]))
    with pytest.raises(InvalidInput, match="reference"):
        hypervolume(np.ones((2, 2)), (1, math.inf))
