from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wichtel.testing.searchers import SPACES
from wichtel.tuning.optuna_space import distribution, groups, inward, outward


@given(seed=st.integers(0, 10**6), space=st.sampled_from(sorted(SPACES)))
@settings(max_examples=50, deadline=None)
def test_values_come_back_as_they_went(seed, space):
    space = SPACES[space]
    config = space.sample(Random(seed))
    for name, value in config.items():
        there = outward(space[name], value)
        made = distribution(space[name])
        assert made.to_external_repr(made.to_internal_repr(there)) == there
        back = inward(space[name], there)
        assert back == pytest.approx(value) if isinstance(value, float) else (back, type(back)) == (value, type(value))


def test_parameters_of_the_same_conditions_are_one_group():
    found = [sorted(g) for g in groups(SPACES["conditional"])]
    assert found == [["optimizer", "x"], ["momentum", "nesterov"], ["decay"]]
