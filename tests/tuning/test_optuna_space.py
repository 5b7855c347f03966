from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from wichtel.domain import Choice, Float, Int
from wichtel.testing.searchers import SPACES
from wichtel.tuning.optuna_space import distribution, inward, outward


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


def test_distributions_are_what_a_user_of_optuna_would_write():
    assert distribution(Float(0.1, 0.5, step=0.2)) == FloatDistribution(0.1, 0.5, step=0.2)
    assert distribution(Int(1, 10, step=4)) == IntDistribution(1, 9, step=4)
    assert distribution(Choice(["a", None])) == CategoricalDistribution(["a", None])
    assert distribution(Choice([1, True])) == CategoricalDistribution(["1", "True"])
