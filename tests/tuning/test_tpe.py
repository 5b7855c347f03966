from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from random import Random
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wichtel.domain import Algorithm, Bool, Choice, Fixed, Float, Int, RunState, Space
from wichtel.testing import searchers as suite
from wichtel.tuning.ports import Result
from wichtel.tuning.registry import make_searcher
from wichtel.tuning.searchers.tpe import TPE


def _search(space, loss, trials, *, seed=0, workers=1, **harder):
    """Run TPE; `loss` gives the losses of a configuration, or these and violations. Returns the configurations in their order."""
    searcher = TPE(suite.problem(space, seed, **harder))
    configs, running = [], []
    while len(configs) < trials or running:
        while len(configs) < trials and len(running) < workers:
            running.append(len(configs))
            configs += [s.config for s in searcher.sample(1)]
        number = running.pop(0)
        found = loss(configs[number])
        losses, violations = found if isinstance(found[0], tuple) else (found, ())
        searcher.update([Result(number=number, config=configs[number], state=RunState.SUCCEEDED, losses=losses, violations=violations)])
    return configs


@pytest.mark.parametrize("workers", [1, 8])
def test_it_finds_what_random_search_does_not(workers):
    space = Space({"x": Float(-5, 5), "lr": Float(1e-6, 1, log=True), "n": Int(1, 50), "kind": Choice(["a", "b", "c", "d"])})

    def loss(c):
        return (c["x"] ** 2 + math.log10(c["lr"] / 1e-3) ** 2 + ((c["n"] - 20) / 10) ** 2 + 3 * (c["kind"] != "c"),)

    ours = [min(loss(c)[0] for c in _search(space, loss, 80, seed=s, workers=workers)) for s in range(5)]
    theirs = [min(loss(space.sample(Random(f"{s}/{i}")))[0] for i in range(80)) for s in range(5)]
    assert median(ours) < 0.4 * median(theirs)


def test_what_a_choice_opens_is_learned_from_the_trials_that_made_it():
    space = Space(
        {"kind": Choice(["net", "tree"]), "depth": Float(0, 1, when={"kind": ["tree"]}), "lr": Float(0, 1, when={"kind": ["net"]})}
    )

    def loss(c):
        return (abs(c["lr"] - 0.8) if c["kind"] == "net" else 0.5 + abs(c["depth"] - 0.2),)

    late = _search(space, loss, 70)[40:]
    nets = [c["lr"] for c in late if c["kind"] == "net"]
    assert len(nets) > 15
    assert sum(abs(lr - 0.8) < 0.15 for lr in nets) > 0.6 * len(nets)


def test_with_several_objectives_it_goes_for_the_front():
    space = Space({"x": Float(-2, 4), "y": Float(-2, 4)})
    late = _search(space, lambda c: (c["x"] ** 2 + c["y"] ** 2, (c["x"] - 2) ** 2 + c["y"] ** 2), 90, objectives=2)[50:]
    near = [c for c in late if -0.5 < c["x"] < 2.5 and abs(c["y"]) < 0.7]
    assert len(near) > len(late) / 2
    assert min(c["x"] for c in near) < 0.6 < 1.4 < max(c["x"] for c in near)


def test_it_comes_to_where_the_constraints_hold():
    space = Space({"x": Float(0, 1), "y": Float(0, 1)})
    # The best losses are where the constraint is broken, and at first everything breaks it.
    late = _search(space, lambda c: ((c["x"] + c["y"],), (max(0.0, 0.85 - c["x"]) * 1000,)), 80, constraints=1)[40:]
    assert sum(c["x"] >= 0.8 for c in late) > len(late) / 2
    assert sum(c["y"] < 0.3 for c in late) > len(late) / 2


def test_the_largest_budget_with_enough_results_is_modelled():
    space = Space({"x": Float(0, 1)})

    def suggested(dear):
        searcher = TPE(suite.problem(space))
        results = [(i, (i % 40) / 40, 1.0) for i in range(40)] + [(40 + i, (i % 20) / 20, 9.0) for i in range(dear)]
        for number, x, budget in results:
            # At the small budget small values are best, at the large one large values.
            loss = x if budget == 1 else -x
            begun = Result(number=number, config={"x": x}, state=RunState.RUNNING, budget=budget)
            searcher.update([begun, replace(begun, state=RunState.SUCCEEDED, losses=(loss,))])
        return [s.config["x"] for s in searcher.sample(20)]

    assert sum(suggested(3)) / 20 < 0.35
    assert sum(suggested(20)) / 20 > 0.65


def test_parallel_workers_keep_apart():
    space = Space({"x": Float(0, 1)})
    searcher = TPE(suite.problem(space))
    for number in range(40):
        [s] = searcher.sample(1)
        searcher.update([Result(number=number, config=s.config, state=RunState.SUCCEEDED, losses=(abs(s.config["x"] - 0.5),))])
    xs = sorted(s.config["x"] for s in searcher.sample(8))
    assert all(b - a > 1e-4 for a, b in pairwise(xs))
    assert xs[-1] - xs[0] > 0.05


SPACES = {
    "one configuration": Space({"a": Fixed(1), "b": Int(3, 3), "c": Choice(["x"])}),
    "one value of two": Space({"a": Float(2.0, 2.0), "b": Bool()}),
    "tiny range": Space({"a": Float(1.0, 1.0 + 1e-12), "b": Float(0, 5e-324)}),
    "huge range": Space({"a": Float(-1e300, 1e300 / 2), "b": Float(1e-300, 1e300, log=True), "c": Int(-(2**60), 2**60)}),
    "conditional": suite.SPACES["conditional"],
    "mixed": suite.SPACES["mixed"],
}
LOSSES = {
    "equal": lambda n: (1.0,),
    "huge": lambda n: ((-1) ** n * 1e308,),
    "tiny": lambda n: (n * 5e-324,),
    "none": lambda n: (),
    "mixture": lambda n: ((), (1.0,), (1e308,), (-1e308,))[n % 4],
}


@pytest.mark.parametrize("losses", LOSSES)
@pytest.mark.parametrize("space", SPACES)
def test_degenerate_spaces_and_losses(space, losses):
    searcher = TPE(suite.problem(SPACES[space]), startup=3)
    number = 0
    while number < 30 and (suggested := searcher.sample(1)):
        SPACES[space].check(suggested[0].config)
        found = LOSSES[losses](number)
        state = RunState.SUCCEEDED if found else RunState.FAILED
        searcher.update([Result(number=number, config=suggested[0].config, state=state, losses=found)])
        number += 1
    assert number == {"one configuration": 1, "one value of two": 2}.get(space, 30)


@given(seed=st.integers(0, 10**6), workers=st.integers(1, 6), startup=st.integers(1, 5), space=st.sampled_from(sorted(suite.SPACES)))
@settings(max_examples=8, deadline=None)
def test_what_is_suggested_is_legal_new_and_the_same_again(seed, workers, startup, space):
    space = suite.SPACES[space]
    problem = suite.problem(space, seed)
    first, second = (suite.Simulation(TPE(problem, startup=startup), space, workers=workers, seed=seed) for _ in range(2))
    first.run(30)
    second.run(30)
    assert first.configs == second.configs
    assert len({space.key(c) for c in first.configs}) == len(first.configs)
    for config in first.configs:
        space.check(config)


def test_thousands_of_trials_do_not_change_what_it_does():
    space = Space({"x": Float(0, 1), "y": Float(0, 1)})
    searcher = make_searcher(Algorithm(name="tpe"), suite.problem(space))
    random = Random(1)
    for number in range(3000):
        config = space.sample(random)
        begun = Result(number=number, config=config, state=RunState.RUNNING)
        loss = (config["x"] - 0.3) ** 2 + (config["y"] - 0.6) ** 2
        searcher.update([begun, replace(begun, state=RunState.SUCCEEDED, losses=(loss,))])
    configs = [s.config for s in searcher.sample(20)]
    assert sum(abs(c["x"] - 0.3) < 0.1 and abs(c["y"] - 0.6) < 0.1 for c in configs) > 15
