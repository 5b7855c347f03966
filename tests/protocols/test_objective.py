from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wichtel.domain import Constraint, Expectation, Intent, UserError
from wichtel.protocols.objective import gain, objective

QUALITY = Constraint(metric="auc", expectation=Expectation.LARGER, threshold=-0.01, relative=True)
COST = Constraint(metric="cost", expectation=Expectation.SMALLER, threshold=0.1, relative=True)
CHEAPER = Intent(name="cheaper", constraints=(COST, QUALITY), primary="cost")
BASE = {"auc": 0.8, "cost": 10.0}


def test_half_the_cost_at_the_same_quality_is_a_gain_of_half() -> None:
    assert objective(CHEAPER, BASE, {"auc": 0.8, "cost": 5.0}) == pytest.approx(0.5)


def test_a_tolerated_loss_costs_nothing() -> None:
    assert objective(CHEAPER, BASE, {"auc": 0.7921, "cost": 5.0}) == pytest.approx(0.5)


def test_a_model_that_is_almost_free_but_useless_loses_to_one_that_keeps_its_quality() -> None:
    useless = objective(CHEAPER, BASE, {"auc": 0.5, "cost": 0.1})
    assert useless < objective(CHEAPER, BASE, {"auc": 0.8, "cost": 9.0})


def test_the_searcher_sees_in_which_direction_a_constraint_is_met() -> None:
    assert objective(CHEAPER, BASE, {"auc": 0.5, "cost": 5.0}) < objective(CHEAPER, BASE, {"auc": 0.6, "cost": 5.0})


def test_a_metric_that_is_not_there_is_the_users_error() -> None:
    with pytest.raises(UserError, match="'cost', which the model does not report"):
        objective(CHEAPER, BASE, {"auc": 0.8})


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_a_gain_in_one_direction_is_a_loss_in_the_other(a: float, b: float) -> None:
    up = Constraint(metric="m", expectation=Expectation.LARGER, relative=True)
    down = Constraint(metric="m", expectation=Expectation.SMALLER, relative=True)
    assert gain(up, a, b) == -gain(down, a, b)
