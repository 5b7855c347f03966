from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wichtel.domain import Bool, Choice, Fixed, Float, Int, Space
from wichtel.testing import searchers as suite
from wichtel.tuning.models.encoding import Encoding

SPACES = {
    **suite.SPACES,
    "steps": Space({"a": Float(0.1, 0.75, step=0.2), "b": Int(-7, 8, step=4), "c": Int(1, 3, log=True), "d": Int(5, 10**9, log=True)}),
    "flat": Space({"a": Float(2.0, 2.0), "b": Int(3, 4, step=2), "c": Choice(["one"]), "d": Fixed(None)}),
    "wide": Space({"a": Float(-1e300, 1e-300), "b": Int(-(2**60), 2**61), "c": Float(1e-300, 1e300, log=True)}),
}


@given(name=st.sampled_from(sorted(SPACES)), seed=st.integers(0, 10**6))
@settings(max_examples=200, deadline=None)
def test_a_configuration_comes_back_as_it_was(name, seed):
    space = SPACES[name]
    encoding, config = Encoding(space), space.sample(Random(seed))
    vector = encoding.encode(config)
    assert vector.shape == (encoding.dimensions,)
    back = encoding.decode(vector)
    space.check(back)
    assert back.keys() == config.keys()
    for key, value in config.items():
        assert back[key] == (
            pytest.approx(value, rel=1e-9, abs=1e285) if name == "wide" and isinstance(value, int | float) else pytest.approx(value)
        )
    active = [c.name in config for c in encoding.columns]
    assert (~np.isnan(vector) == active).all()


@given(name=st.sampled_from(sorted(SPACES)), seed=st.integers(0, 10**6), data=st.data())
@settings(max_examples=200, deadline=None)
def test_any_vector_is_a_legal_configuration(name, seed, data):
    space = SPACES[name]
    encoding = Encoding(space)
    entry = st.floats(-0.5, 5.0) | st.just(math.nan)
    vector = data.draw(st.lists(entry, min_size=encoding.dimensions, max_size=encoding.dimensions))
    space.check(encoding.decode(vector, Random(seed)))
    space.check(encoding.decode(vector))


@given(name=st.sampled_from(sorted(SPACES)), entries=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_cells_hold_their_entries_and_cover_the_range(name, entries):
    for column in Encoding(SPACES[name]).columns:
        points = np.array(entries) * (column.count if column.categorical else 1)
        snapped = column.snap(points)
        for point, value in zip(points, snapped, strict=True):
            assert column.decode(point) == pytest.approx(column.decode(value))
            assert column.encode(column.decode(value)) == pytest.approx(value)
        if column.count and not column.categorical:
            low, high = column.cells(points)
            assert (low - 1e-9 <= snapped).all()
            assert (snapped <= high + 1e-9).all()
            assert column.cells(np.array([0.0]))[0] == pytest.approx(0.0)
            assert column.cells(np.array([1.0]))[1] == pytest.approx(1.0)


@given(name=st.sampled_from(sorted(SPACES)), seed=st.integers(0, 10**6))
@settings(max_examples=200, deadline=None)
def test_a_neighbour_is_another_legal_configuration(name, seed):
    space, random = SPACES[name], Random(seed)
    config = space.sample(random)
    neighbour = Encoding(space).mutate(config, random, scale=1e-4)
    space.check(neighbour)
    assert (space.key(neighbour) == space.key(config)) == (name == "flat")


def test_columns_stand_in_the_order_of_the_space_and_are_empty_where_inactive():
    encoding = Encoding(Space({"x": Float(0, 2), "c": Choice(["a", 1, True], when={"b": [True]}), "b": Bool(), "v": Fixed(1)}))
    assert [c.name for c in encoding.columns] == ["x", "b", "c"]
    assert encoding.encode({"x": 1.0, "b": True, "c": True, "v": 1}).tolist() == [0.5, 1, 2]
    assert encoding.encode({"x": 2.0, "b": False, "v": 1})[:2].tolist() == [1.0, 0]
    assert np.isnan(encoding.encode({"x": 2.0, "b": False, "v": 1})[2])
