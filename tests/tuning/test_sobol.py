from __future__ import annotations

from random import Random

import numpy as np
import pytest

import wichtel as wt
from wichtel.domain import Bool, Choice, Fixed, Float, Int, RunState, Space
from wichtel.testing import searchers as suite
from wichtel.tuning.ports import Result
from wichtel.tuning.searchers.sobol import Sobol

SPACE = {"x": wt.Float(0, 1), "n": wt.Int(1, 9), "kind": wt.Choice(["a", "b"]), "depth": wt.Int(1, 3, when={"kind": ["b"]})}


def _loss(x, n, kind, depth=0):
    return x + n + depth


@pytest.mark.parametrize("searcher", ["random", "grid", "sobol"])
def test_the_number_of_workers_does_not_matter(searcher):
    configs = []
    for workers in (1, 3):
        study = wt.tune(_loss, SPACE, minimize="loss", trials=25, workers=workers, searcher=searcher, seed=4, progress=False)
        trials = sorted(study.trials, key=lambda t: t.number)
        configs.append([(t.number, t.config, t.metrics) for t in trials])
    assert len(configs[0]) == 25
    assert configs[0] == configs[1]


def test_every_part_of_the_space_gets_its_share():
    space = Space({"x": Float(0, 1), "lr": Float(1e-4, 1, log=True), "kind": Choice(["a", "b", "c", "d"]), "version": Fixed(2)})
    configs = [s.config for s in Sobol(suite.problem(space, seed=3)).sample(64)]
    for part in range(8):
        assert sum(part / 8 <= c["x"] < (part + 1) / 8 for c in configs) == 8
    assert all(sum(c["kind"] == kind for c in configs) == 16 for kind in "abcd")
    assert sum(c["lr"] < 1e-2 for c in configs) == 32


def test_a_point_belongs_to_its_trial_whoever_suggested_the_others():
    space = Space({"x": Float(0, 1), "flag": Bool(), "n": Int(1, 3, when={"flag": [True]})})
    problem = suite.problem(space, seed=1)
    expected = [s.config for s in Sobol(problem).sample(10)]
    searcher = Sobol(problem)
    searcher.update([Result(number=i, config=space.sample(Random(i)), state=RunState.RUNNING) for i in range(6)])
    assert [s.config for s in searcher.sample(4)] == expected[6:]


def test_the_seed_scrambles():
    space = Space({"x": Float(0, 1)})
    one, other = ([s.config["x"] for s in Sobol(suite.problem(space, seed=seed)).sample(16)] for seed in (1, 2))
    assert not np.allclose(one, other)
