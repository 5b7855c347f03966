"""Loading a plan for a training, with the values of a trial."""

from __future__ import annotations

from pathlib import Path

import pytest

from wichtel.domain import PlanError
from wichtel.plans import run_fresh

PLAN = """
import random
plan.metric("sum", lambda labels, scores: float(sum(labels) + sum(scores)), better="larger")
model = Model()
model.width = tunable.Int("width", default=16, candidates=[16, 32])
model.start = random.random()
if tunable.Bool("deep", False):
    model.depth = tunable.Int("depth", 1, min=1, max=4)
"""


@pytest.fixture
def load(make_tree, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))

    def load(**payload):
        return run_fresh("fresh_entries:load", payload, tree=make_tree(PLAN), seconds=30).result

    return load


def test_a_trials_values_arrive(load):
    loaded = load(values={"width": 32, "deep": True, "depth": 3}, seed=1)
    assert loaded["values"] == {"width": 32, "deep": True, "depth": 3}
    assert (loaded["model"]["width"], loaded["model"]["depth"]) == (32, 3)
    assert loaded["metrics"] == {"sum": 2.0}
    assert loaded["warnings"] == []
    assert load(values={"width": 32}, seed=1)["model"]["start"] == loaded["model"]["start"]


def test_a_value_that_nobody_asks_for(load):
    (warning,) = load(values={"depth": 3})["warnings"]
    assert "the tunable 'depth' is not active" in warning
    with pytest.raises(PlanError, match=r"there is no tunable 'dept'\. Did you mean 'depth' or 'deep'"):
        load(values={"dept": 3})
    with pytest.raises(PlanError, match=r"tunable 'width' at plan\.py:\d+: 17 is none of"):
        load(values={"width": 17})


def test_modes(load):
    assert load(mode="default")["values"] == {"width": 16, "deep": False}
    assert load(mode="search", values={"width": 32})["values"] == {"width": 32, "deep": False}
    with pytest.raises(PlanError, match="shared weights is not available"):
        load(mode="search")
    with pytest.raises(PlanError, match="the mode is 'default'"):
        load(mode="default", values={"width": 32})
