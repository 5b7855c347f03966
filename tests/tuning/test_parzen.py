from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wichtel.domain import Bool, Choice, Float, Int, Space
from wichtel.testing import searchers as suite
from wichtel.tuning.models.encoding import Encoding
from wichtel.tuning.models.parzen import Parzen

SPACES = {
    **{name: suite.SPACES[name] for name in ("floats", "mixed")},
    "large": Space({"n": Int(0, 10**6), "m": Int(1, 10**6, log=True)}),
    "choices": Space({"a": Choice(["x", "y", "z"]), "b": Bool()}),
}


@given(name=st.sampled_from(sorted(SPACES)), seed=st.integers(0, 10**6), n=st.integers(0, 60), distinct=st.integers(1, 60))
@settings(max_examples=100, deadline=None)
def test_points_are_within_the_space_and_densities_are_finite(name, seed, n, distinct):
    encoding, random = Encoding(SPACES[name]), Random(seed)
    places = [encoding.encode(SPACES[name].sample(random)) for _ in range(distinct)]
    entries = np.array([random.choice(places) for _ in range(n)]).reshape(n, encoding.dimensions)
    density = Parzen(encoding.columns, entries, np.ones(n))
    points = density.sample(np.random.default_rng(seed), 50)
    for point in points:
        SPACES[name].check(encoding.decode(point))
    assert np.isfinite(density.log_density(points)).all()
    again = Parzen(encoding.columns, entries, np.ones(n)).sample(np.random.default_rng(seed), 50)
    assert (again == points).all()


@pytest.mark.parametrize("name", ["choices", "mixed"])
def test_the_density_is_that_of_the_points_drawn(name):
    space = Space({k: p for k, p in SPACES[name].items() if k != "layers"})
    encoding, random = Encoding(space), Random(3)
    entries = np.array([encoding.encode(space.sample(random)) for _ in range(6)])
    density = Parzen(encoding.columns, entries, np.linspace(0.2, 1.0, 6))
    every = np.array([encoding.encode(c) for c in space.grid(100)])
    probabilities = np.exp(density.log_density(every))
    probabilities /= probabilities.sum()
    drawn = density.sample(np.random.default_rng(0), 20_000)
    shares = np.array([(np.abs(drawn - point) < 1e-9).all(axis=1).mean() for point in every])
    assert np.abs(shares - probabilities).max() < 0.01


def test_equal_observations_have_equal_kernels_and_near_ones_narrow_ones():
    encoding = Encoding(Space({"x": Float(0, 1)}))
    entries = np.array([[0.5], [0.52], [0.5], [0.9]])
    one, other = (Parzen(encoding.columns, entries[order], np.ones(4)) for order in ([0, 1, 2, 3], [2, 3, 0, 1]))
    points = np.linspace(0, 1, 50)[:, None]
    assert np.allclose(one.log_density(points), other.log_density(points))
    assert one.log_density(np.array([[0.5]])) > one.log_density(np.array([[0.9]])) > one.log_density(np.array([[0.1]]))
